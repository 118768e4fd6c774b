"""The world the built-in corpus talks about: what things are, as plain data.

Every table maps a value to the things that have it, so that how balanced a relation is can be read off the page. A
thing is written as it stands in a sentence ("a lemon", "the sky", "snow"). Facts hold in the ordinary world.
"""


def listed(text: str) -> tuple[str, ...]:
    """ "a fox, a bear" -> ("a fox", "a bear")."""
    return tuple(text.split(", "))


def _things(table: dict[str, str]) -> dict[str, str]:
    """{"red": "a rose, a cherry"} -> {"a rose": "red", "a cherry": "red"}."""
    return {thing: value for value, things in table.items() for thing in listed(things)}


COLOUR = _things(
    {
        "red": "a tomato, a strawberry, a cherry, a ladybird, a rose, a brick, a poppy",
        "yellow": "a lemon, a banana, the sun, a duckling, a canary, butter, a sunflower",
        "green": "a frog, the grass, a cucumber, a lime, a leaf, a crocodile, a cabbage",
        "blue": "the sky, the sea, a blueberry, a cornflower, a sapphire, a bluebell",
        "white": "snow, milk, a swan, salt, a polar bear, a daisy, flour",
        "black": "a raven, a crow, coal, a panther, a tyre, the night",
        "brown": "mud, chocolate, a monkey, a deer, a coconut, a sparrow",
        "orange": "a carrot, a pumpkin, a goldfish, a tangerine, a marigold, a tiger",
        "grey": "an elephant, a mouse, a donkey, a dolphin, a rock, a shark",
        "purple": "a plum, a violet, a beetroot, an aubergine, lavender",
    }
)

KIND = _things(
    {
        "fruit": "a lemon, a banana, a strawberry, a cherry, a plum, a pear, an apple, a peach, a grape, a lime",
        "vegetable": "a carrot, a potato, a cabbage, an onion, a leek, a beetroot, spinach, a turnip",
        "bird": "a crow, a duck, an owl, a swan, a hen, a goose, a parrot, a penguin, an eagle, a dove",
        "insect": "a bee, an ant, a fly, a butterfly, a ladybird, a cricket, a beetle, a wasp",
        "fish": "a shark, a salmon, a trout, a tuna, a goldfish, a herring, a cod",
        "flower": "a rose, a tulip, a daisy, a lily, a violet, a sunflower, a poppy",
        "tree": "an oak, a pine, a birch, a maple, a willow, a palm",
        "tool": "a hammer, a saw, a spade, an axe, a rake, a drill",
        "vehicle": "a car, a bus, a train, a truck, a tractor, a bicycle",
        "instrument": "a piano, a guitar, a drum, a flute, a violin, a harp",
        "toy": "a doll, a kite, a puppet, a yo-yo, a teddy bear",
    }
)

PLACE = _things(
    {
        "sea": "a whale, a dolphin, a shark, an octopus, a seal, a tuna",
        "farm": "a cow, a sheep, a pig, a hen, a goat, a donkey, a horse",
        "forest": "a fox, a bear, a wolf, a deer, an owl, a squirrel",
        "jungle": "a tiger, a monkey, a parrot, a gorilla, a panther",
        "desert": "a camel, a scorpion, a lizard, a coyote",
        "pond": "a frog, a duck, a swan, a goldfish, a newt",
        "grassland": "a lion, a giraffe, a zebra, an elephant, a rhino",
        "ice": "a penguin, a polar bear, a walrus",
    }
)
WHERE = {
    "sea": "in the sea",
    "farm": "on a farm",
    "forest": "in the forest",
    "jungle": "in the jungle",
    "desert": "in the desert",
    "pond": "in a pond",
    "grassland": "on the grassland",
    "ice": "on the ice",
}

TASTE = _things(
    {
        "sweet": "sugar, honey, a banana, chocolate, a cake, jam, a strawberry, a pear",
        "sour": "a lemon, a lime, vinegar, a gooseberry, rhubarb, a cranberry",
        "salty": "salt, bacon, ham, an olive, a pretzel, popcorn",
        "bitter": "coffee, cocoa, medicine, a grapefruit, kale",
        "hot": "a chilli, mustard, pepper, ginger, curry",
    }
)

MATERIAL = _things(
    {
        "wood": "a table, a door, a pencil, a barrel, a fence, a bench, a guitar",
        "glass": "a window, a bottle, a mirror, a jar, a lens",
        "metal": "a key, a nail, a sword, an anchor, a chain, a coin, a spade",
        "wool": "a jumper, a scarf, a blanket, a mitten, a sock",
        "paper": "a book, a newspaper, a stamp, a ticket, an envelope, a kite",
        "leather": "a belt, a saddle, a boot, a wallet, a football",
        "clay": "a brick, a tile, a flowerpot, a jug, a vase",
        "rubber": "a tyre, an eraser, a balloon, a wellington",
    }
)

SIZE = _things(
    {
        "big": "an elephant, a whale, a giraffe, a bus, a mountain, a castle, a ship, an oak, a rhino, a tractor, "
        "a polar bear, a train",
        "small": "an ant, a bee, a mouse, a ladybird, a coin, a button, a needle, a cherry, a stamp, a pea, a fly, "
        "a grape",
    }
)

LEGS = _things(
    {
        "no": "a snake, a worm, a salmon, a snail, a whale, a trout",
        "two": "a crow, a duck, a hen, a swan, a goose, a parrot, a penguin, a robin",
        "four": "a cat, a dog, a cow, a horse, a lion, a fox, a pig, a table",
        "six": "a bee, an ant, a fly, a butterfly, a beetle, a wasp",
        "eight": "a spider, a scorpion, a tick",
    }
)

SOUND = {
    "a cat": "meow",
    "a dog": "woof",
    "a cow": "moo",
    "a sheep": "baa",
    "a duck": "quack",
    "a crow": "caw",
    "a pig": "oink",
    "a horse": "neigh",
    "a lion": "roar",
    "a tiger": "roar",
    "a snake": "hiss",
    "a bee": "buzz",
    "a wasp": "buzz",
    "a fly": "buzz",
    "an owl": "hoot",
    "a frog": "croak",
    "a mouse": "squeak",
    "a hen": "cluck",
    "a wolf": "howl",
    "a coyote": "howl",
    "a goose": "honk",
    "a dove": "coo",
    "a bear": "growl",
    "a cricket": "chirp",
    "a robin": "tweet",
    "a donkey": "hee-haw",
}

YOUNG = {
    "a cat": "kitten",
    "a dog": "puppy",
    "a cow": "calf",
    "an elephant": "calf",
    "a whale": "calf",
    "a sheep": "lamb",
    "a horse": "foal",
    "a donkey": "foal",
    "a pig": "piglet",
    "a goat": "kid",
    "a duck": "duckling",
    "a hen": "chick",
    "an owl": "owlet",
    "an eagle": "eaglet",
    "a goose": "gosling",
    "a swan": "cygnet",
    "a lion": "cub",
    "a bear": "cub",
    "a fox": "cub",
    "a deer": "fawn",
    "a seal": "pup",
    "a frog": "tadpole",
    "a kangaroo": "joey",
}

USE = _things(
    {
        "cutting": "a knife, a saw",
        "writing": "a pen, a pencil",
        "drinking": "a cup, a mug",
        "sitting": "a chair, a bench",
        "sleeping": "a bed, a hammock",
        "reading": "a book, a newspaper",
        "washing": "soap, a sponge",
        "digging": "a spade, a shovel",
        "cooking": "an oven, a pan",
        "chopping": "an axe",
        "sweeping": "a broom",
        "sewing": "a needle",
        "measuring": "a ruler",
        "drying": "a towel",
        "climbing": "a ladder",
        "calling": "a phone",
        "carrying": "a bag, a basket",
        "painting": "a paintbrush",
    }
)

CAPITAL = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Germany": "Berlin",
    "England": "London",
    "Ireland": "Dublin",
    "Austria": "Vienna",
    "Greece": "Athens",
    "Poland": "Warsaw",
    "Portugal": "Lisbon",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "Finland": "Helsinki",
    "Russia": "Moscow",
    "Japan": "Tokyo",
    "China": "Beijing",
    "Egypt": "Cairo",
    "Cuba": "Havana",
    "Peru": "Lima",
    "Canada": "Ottawa",
}

_OPPOSITES = (
    "big small, hot cold, old new, day night, fast slow, up down, happy sad, open closed, full empty, wet dry, "
    "light dark, long short, hard soft, clean dirty, rich poor, strong weak, loud quiet, early late, near far, "
    "thick thin, high low, left right, always never, true false, give take, love hate, win lose"
)
OPPOSITE = {word: other for pair in listed(_OPPOSITES) for word, other in (pair.split(), pair.split()[::-1])}

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = listed("January, February, March, April, May, June, July, August, September, October, November, December")
NUMBERS = listed(
    "zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen, "
    "sixteen, seventeen, eighteen, nineteen, twenty"
)
_CIRCLES = (DAYS, MONTHS)
AFTER = {circle[i - 1]: circle[i] for circle in _CIRCLES for i in range(len(circle))}
AFTER |= {NUMBERS[i - 1]: NUMBERS[i] for i in range(1, len(NUMBERS))}
BEFORE = {later: earlier for earlier, later in AFTER.items()}

PLUS = {(a, b): a + b for a in range(1, 10) for b in range(1, 11 - a)}  # up to ten, as a child learns first
MINUS = {(a, b): a - b for a in range(1, 11) for b in range(1, a + 1)}
SUM = {f"{a} plus {b}": str(total) for (a, b), total in PLUS.items()}
DIFFERENCE = {f"{a} minus {b}": str(rest) for (a, b), rest in MINUS.items()}
SUM_IN_WORDS = {f"{NUMBERS[a]} plus {NUMBERS[b]}": NUMBERS[total] for (a, b), total in PLUS.items()}
DIFFERENCE_IN_WORDS = {f"{NUMBERS[a]} minus {NUMBERS[b]}": NUMBERS[rest] for (a, b), rest in MINUS.items()}

GIRLS = listed("Anna, Lucy, Mia, Rosa, Ella, Nina, Clara, Ruby")
BOYS = listed("Tom, Ben, Max, Leo, Sam, Jack, Oscar, Paul")
HEROES = listed(
    "a fox, a bear, a rabbit, a mouse, a cat, a dog, a horse, a duck, an owl, a frog, a goat, a squirrel, a lion, "
    "a penguin, a donkey, a monkey"
)
