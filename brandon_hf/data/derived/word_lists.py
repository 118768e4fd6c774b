"""Plain data: what belongs to what. Members stand without an article, as in a list."""

import random

MEMBERS: dict[str, str] = {  # what one asks for: its members
    "colours": "red, blue, green, yellow, orange, purple, pink, brown, black, white, grey, turquoise",
    "fruits": "apple, banana, pear, orange, grape, cherry, plum, lemon, mango, peach, kiwi, melon, pineapple, "
    "strawberry",
    "vegetables": "carrot, potato, onion, cabbage, pea, bean, leek, spinach, pumpkin, cucumber, pepper, turnip, "
    "broccoli",
    "farm animals": "cow, pig, sheep, goat, hen, duck, goose, donkey, turkey, rooster",
    "wild animals": "lion, tiger, bear, wolf, fox, deer, giraffe, zebra, monkey, hippo",
    "pets": "dog, cat, rabbit, hamster, parrot, goldfish, guinea pig, turtle",
    "birds": "crow, duck, owl, swan, eagle, parrot, penguin, robin, sparrow, pigeon, stork, gull",
    "insects": "bee, ant, fly, butterfly, beetle, wasp, moth, grasshopper, mosquito, dragonfly",
    "fish": "salmon, trout, tuna, cod, herring, shark, carp, eel",
    "sea animals": "whale, dolphin, shark, octopus, seal, crab, squid, jellyfish, starfish",
    "flowers": "rose, tulip, daisy, lily, violet, sunflower, poppy, daffodil",
    "trees": "oak, pine, birch, maple, willow, palm, beech, ash",
    "tools": "hammer, saw, drill, spade, axe, rake, screwdriver, wrench, pliers",
    "vehicles": "car, bus, train, truck, tram, bicycle, motorcycle, tractor, van, ship, plane",
    "musical instruments": "piano, guitar, drum, flute, violin, trumpet, harp, cello, clarinet",
    "sports": "football, tennis, swimming, running, basketball, hockey, golf, rugby, rowing",
    "drinks": "water, tea, coffee, milk, juice, lemonade, cocoa",
    "foods": "bread, rice, cheese, soup, pasta, salad, egg, potato, fish, pancake",
    "sweet foods": "cake, honey, chocolate, jam, sugar, candy, biscuit, ice cream",
    "spices and herbs": "salt, pepper, cinnamon, ginger, basil, mint, parsley, curry",
    "clothes": "shirt, hat, coat, dress, skirt, sock, scarf, glove, sweater, trousers, jacket",
    "shoes": "boot, sandal, slipper, sneaker, clog",
    "pieces of furniture": "table, chair, bed, sofa, desk, shelf, wardrobe, bench, stool",
    "rooms of a house": "kitchen, bedroom, bathroom, living room, dining room, hall, cellar, attic",
    "buildings": "house, school, church, hospital, castle, museum, station, factory, library",
    "jobs": "teacher, doctor, baker, farmer, nurse, cook, driver, painter, pilot, builder, police officer",
    "school subjects": "maths, history, music, art, geography, science, English, sport",
    "things in a school bag": "book, pen, pencil, ruler, eraser, notebook, lunch box",
    "things in a bathroom": "towel, soap, toothbrush, mirror, comb, shampoo, bathtub",
    "things in a bedroom": "bed, pillow, blanket, lamp, clock, wardrobe, curtain",
    "things in a garden": "tree, flower, grass, bench, hedge, fence, path, pond",
    "things on a beach": "sand, shell, towel, wave, boat, umbrella, crab",
    "things on a desk": "pen, paper, lamp, book, computer, pencil, notebook",
    "things in a forest": "tree, moss, mushroom, squirrel, leaf, path, berry",
    "things in the sky": "sun, cloud, star, bird, plane, rainbow, kite",
    "parts of the body": "arm, leg, head, hand, foot, nose, ear, knee, shoulder, back, neck",
    "parts of the face": "nose, mouth, eye, chin, cheek, forehead, lip",
    "members of a family": "mother, father, sister, brother, grandmother, grandfather, uncle, aunt, cousin",
    "kinds of weather": "rain, snow, sun, wind, fog, storm, hail",
    "materials": "wood, glass, metal, stone, paper, plastic, wool, leather, cotton, clay",
    "metals": "iron, gold, silver, copper, tin, lead, zinc, aluminium",
    "shapes": "circle, square, triangle, rectangle, oval, star",
    "planets": "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune",
    "continents": "Africa, Asia, Europe, North America, South America, Australia, Antarctica",
    "oceans": "Atlantic, Pacific, Indian, Arctic, Southern",
    "countries in Europe": "France, Italy, Germany, Poland, Greece, Norway, Sweden, Portugal, Austria, Ireland",
    "countries in Africa": "Egypt, Kenya, Nigeria, Ghana, Morocco, Ethiopia, Senegal, Tanzania",
    "countries in Asia": "China, India, Japan, Thailand, Vietnam, Nepal, Indonesia, Pakistan",
    "languages": "English, French, German, Italian, Arabic, Chinese, Russian, Hindi, Portuguese",
    "days of the week": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
    "months": "January, February, March, April, May, June, July, August, September, October, November, December",
    "seasons": "spring, summer, autumn, winter",
    "meals": "breakfast, lunch, dinner",
    "feelings": "joy, fear, anger, love, hope, pride, envy, sadness, surprise",
    "good qualities": "honesty, patience, courage, kindness, humour, care",
    "senses": "sight, hearing, smell, taste, touch",
    "games": "chess, cards, tag, dominoes, marbles, hide and seek",
    "hobbies": "reading, painting, singing, dancing, fishing, gardening, cooking, knitting",
    "toys": "doll, ball, kite, puppet, train set, teddy bear, building blocks",
    "names for a girl": "Anna, Mary, Ella, Rose, Nina, Clara, Ruby, Grace, Emma, Julia",
    "names for a boy": "Tom, Ben, Max, Leo, Sam, Jack, Paul, Peter, David, Henry",
    "names for a dog": "Rex, Buddy, Bella, Rocky, Daisy, Max, Luna, Spot",
    "even numbers": "2, 4, 6, 8, 10, 12, 14, 16",
    "odd numbers": "1, 3, 5, 7, 9, 11, 13, 15",
    "vowels": "a, e, i, o, u",
    "nouns": "house, dog, river, table, friend, bread, stone, garden",
    "verbs": "run, sing, eat, sleep, write, jump, swim, read",
    "adjectives": "big, happy, cold, green, quick, soft, brave, quiet",
    "reasons to go outside": "fresh air, sunshine, meeting friends, playing, exercise",
    "things that are round": "ball, wheel, coin, ring, orange, plate, button",
    "things that fly": "bird, plane, kite, butterfly, helicopter, bee, balloon",
    "things that are cold": "ice, snow, a snowman, an iceberg, frost, ice cream",
    "things that are hot": "an oven, the sun, a desert, boiling water, a campfire",
    "things that have wheels": "car, bicycle, train, cart, tractor, skateboard, wheelbarrow",
    "things made of wood": "table, door, pencil, fence, bench, barrel, ladder",
    "things made of paper": "book, newspaper, envelope, map, stamp, ticket",
    "things that are green": "grass, a leaf, a frog, a cucumber, a lime, moss",
    "things that are red": "a tomato, a cherry, blood, a strawberry, a fire engine",
    "things to take on a trip": "a map, water, a warm coat, money, a phone, some food",
    "things you can read": "book, letter, newspaper, poem, sign, menu",
    "things you can drive": "car, bus, truck, tractor, van, train",
    "things one can do on a rainy day": "read a book, bake a cake, draw a picture, play a game, watch a film",
    "things one can do in summer": "swim, have a picnic, ride a bicycle, eat ice cream, camp",
    "ways to help at home": "wash the dishes, sweep the floor, set the table, water the plants, make the bed",
    "ways to stay healthy": "sleep enough, eat fruit, drink water, move every day, wash your hands",
    "ways to travel": "by train, by bus, by car, by plane, by bicycle, on foot, by ship",
}

ORDERED: dict[str, str] = {  # kinds of `MEMBERS` that are complete and in an order of their own: which order that is
    "days of the week": "beginning with Monday",
    "months": "beginning with January",
    "planets": "starting from the sun",
    "seasons": "beginning with spring",
}

OPPOSITES = (
    "big small, hot cold, old new, day night, fast slow, up down, happy sad, open closed, full empty,"
    " wet dry, light dark, "
    "long short, hard soft, clean dirty, rich poor, strong weak, loud quiet, early late, near far, "
    "thick thin, high low, "
    "left right, always never, true false, give take, love hate, win lose, begin end, start stop, push pull, come go, "
    "inside outside, before after, above below, in out, on off, first last, good bad, right wrong, easy difficult, "
    "wide narrow, deep shallow, heavy light, young old, sweet sour, sharp blunt, smooth rough, tight "
    "loose, brave cowardly, "
    "clever stupid, friend enemy, question answer, buy sell, arrive leave, laugh cry, remember forget, "
    "find lose, alive dead, awake asleep, front back, top bottom, north south, east west, summer "
    "winter, morning evening, "
    "black white, war peace, sick healthy, cheap expensive, polite rude, safe dangerous, same different, "
    "possible impossible, kind cruel, honest dishonest, visible invisible, everything nothing, many few, more less, "
    "raise lower, build destroy, lock unlock, pack unpack, accept refuse, agree disagree, success failure, "
    "victory defeat, birth death, beautiful ugly, guilty innocent, noisy silent, ancient modern"
)

PLURALS = (
    "child children, man men, woman women, foot feet, tooth teeth, mouse mice, goose geese, leaf leaves, wolf wolves, "
    "knife knives, wife wives, life lives, half halves, shelf shelves, thief thieves, loaf loaves, baby babies, "
    "city cities, story stories, fly flies, lady ladies, berry berries, puppy puppies, box boxes, bus buses, "
    "glass glasses, dish dishes, church churches, watch watches, fox foxes, potato potatoes, tomato "
    "tomatoes, hero heroes, "
    "sheep sheep, deer deer, ox oxen, day days, key keys, boy boys, toy toys, cat cats, dog dogs, house houses, "
    "tree trees, car cars, book books, flower flowers, bird birds, river rivers, apple apples, chair "
    "chairs, horse horses, "
    "brush brushes, peach peaches, class classes, monkey monkeys, valley valleys, family families, country countries, "
    "party parties, penny pennies, scarf scarves, person people, photo photos, piano pianos, radio radios"
)

PAST = (
    "go went, eat ate, see saw, run ran, come came, take took, give gave, write wrote, sing sang, "
    "drink drank, swim swam, "
    "begin began, fly flew, know knew, grow grew, throw threw, draw drew, drive drove, ride rode, "
    "speak spoke, break broke, "
    "wake woke, choose chose, forget forgot, get got, sit sat, win won, find found, buy bought, bring brought, "
    "think thought, teach taught, catch caught, fight fought, sleep slept, keep kept, feel felt, leave left, meet met, "
    "lose lost, send sent, build built, spend spent, make made, have had, say said, tell told, sell sold, hear heard, "
    "hold held, stand stood, understand understood, fall fell, wear wore, tear tore, hide hid, bite bit, shine shone, "
    "put put, cut cut, hit hit, let let, walk walked, play played, jump jumped, help helped, ask asked, open opened, "
    "stop stopped, plan planned, cry cried, carry carried, try tried, dance danced, live lived, love "
    "loved, work worked, "
    "look looked, wash washed, cook cooked, paint painted, smile smiled, hope hoped, study studied, drop dropped, "
    "do did, feed fed, lead led, read read, dig dug, blow blew, freeze froze, steal stole, become became, mean meant"
)

COMPARISON = (
    "big bigger biggest, small smaller smallest, tall taller tallest, fast faster fastest, slow slower slowest, "
    "old older oldest, young younger youngest, hot hotter hottest, cold colder coldest, happy happier happiest, "
    "easy easier easiest, good better best, bad worse worst, long longer longest, short shorter shortest, "
    "strong stronger strongest, nice nicer nicest, large larger largest, heavy heavier heaviest, thin"
    " thinner thinnest, "
    "funny funnier funniest, deep deeper deepest, high higher highest, warm warmer warmest, rich richer richest, "
    "wet wetter wettest, sad sadder saddest, early earlier earliest, late later latest, kind kinder kindest"
)

CAPITALS = (
    "France Paris, Italy Rome, Germany Berlin, England London, Ireland Dublin, Austria Vienna, Greece"
    " Athens, Poland Warsaw, "
    "Portugal Lisbon, Norway Oslo, Sweden Stockholm, Finland Helsinki, Russia Moscow, China Beijing, "
    "Egypt Cairo, Cuba Havana, "
    "Peru Lima, Canada Ottawa, Denmark Copenhagen, Hungary Budapest, Kenya Nairobi, Thailand Bangkok, Turkey Ankara, "
    "Australia Canberra, Iceland Reykjavik, Scotland Edinburgh, Wales Cardiff, Belgium Brussels, Romania Bucharest, "
    "Bulgaria Sofia, Croatia Zagreb, Serbia Belgrade, Ukraine Kyiv, Iraq Baghdad, Iran Tehran, Nepal Kathmandu, "
    "Ghana Accra, Senegal Dakar, Chile Santiago, Colombia Bogota, Ecuador Quito, Venezuela Caracas, "
    "Argentina Buenos_Aires, "
    "Mexico Mexico_City, India New_Delhi, Vietnam Hanoi, Lebanon Beirut, Syria Damascus, Jordan Amman, Uganda Kampala, "
    "Zambia Lusaka, Zimbabwe Harare, Somalia Mogadishu, Morocco Rabat, Tunisia Tunis, Algeria Algiers, Libya Tripoli"
)

SIZES = (  # from small to large
    "ant, bee, mouse, rabbit, cat, dog, sheep, pig, cow, rhino, whale",
    "pea, cherry, plum, apple, melon",
    "seed, flower, bush, tree, forest",
    "coin, cup, bucket, barrel, swimming pool",
    "drop, puddle, pond, lake, ocean",
    "stone, hill, mountain",
    "hut, house, tower, town, country, continent",
    "pencil, chair, table, bus, ship",
    "second, minute, hour, day, week, month, year, century",
    "letter, word, sentence, page, book",
    "crumb, coin, egg, shoe, chair, horse, lorry, church, village, country",
    "pin, key, plate, pillow, bed, room, garden, park, desert",
)


_APART = (  # kinds of which mostly nothing belongs to another one
    "colours",
    "fruits",
    "wild animals",
    "tools",
    "vehicles",
    "clothes",
    "jobs",
    "musical instruments",
    "pieces of furniture",
    "flowers",
    "metals",
    "months",
    "days of the week",
    "parts of the body",
    "drinks",
    "planets",
)
_TOGETHER = (  # except for these: gold is a colour, violet a flower, Mercury a metal, orange a fruit and a drink
    {"colours", "fruits"},
    {"colours", "flowers"},
    {"colours", "metals"},
    {"planets", "metals"},
    {"fruits", "drinks"},
)


def apart(rng: random.Random) -> tuple[str, str]:
    """Two kinds of `MEMBERS` without a thing that could be said to belong to both."""
    while True:
        one, other = rng.sample(_APART, 2)
        if {one, other} not in _TOGETHER:
            return one, other


def items(text: str) -> list[str]:
    """ "a, b" -> ["a", "b"]."""
    return text.split(", ")


def pairs(text: str) -> list[list[str]]:
    """ "a b, c d" -> [["a", "b"], ["c", "d"]]; an underscore stands for a space inside."""
    return [[word.replace("_", " ") for word in group.split()] for group in text.split(", ")]


def table(text: str, between: str) -> dict[str, str]:
    """Lines that begin at the margin, each with the indented lines below it put together with `between`."""
    found: dict[str, list[str]] = {}
    key = ""
    for line in text.strip("\n").split("\n"):
        if line.startswith(" "):
            found[key].append(line.strip())
        else:
            key = line
            found[key] = []
    return {key: between.join(lines) for key, lines in found.items()}
