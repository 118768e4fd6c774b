"""Plain data: short facts that everybody agrees on, written for this package."""

# question: the answer in one word or a few; a full sentence
FACTS: dict[str, tuple[str, str]] = {
    "How many days are [there |]in a week": ("Seven", "A week has seven days."),
    "How many months are [there |]in a year": ("Twelve", "A year has twelve months."),
    "How many hours are [there |]in a day": ("24", "A day has 24 hours."),
    "How many minutes are [there |]in an hour": ("60", "An hour has 60 minutes."),
    "How many seconds are [there |]in a minute": ("60", "A minute has 60 seconds."),
    "How many days are [there |]in a year": ("365", "A year has 365 days, and a leap year has one more."),
    "How many legs does a spider have": ("Eight", "A spider has eight legs."),
    "How many legs does an insect have": ("Six", "An insect has six legs."),
    "How many wheels does a car have": ("Four", "A car has four wheels."),
    "How many wheels does a tricycle have": ("Three", "A tricycle has three wheels."),
    "How many sides does a triangle have": ("Three", "A triangle has three sides."),
    "How many sides does a square have": ("Four", "A square has four equal sides."),
    "How many fingers are on one hand": ("Five", "There are five fingers on one hand."),
    "How many letters are in the English alphabet": ("26", "The English alphabet has 26 letters."),
    "How many eyes do [people|humans] have": ("Two", "People have two eyes."),
    "How many planets move around the sun": ("Eight", "Eight planets move around the sun."),
    "How many continents are there": ("Seven", "There are seven continents."),
    "How many wings does a bird have": ("Two", "A bird has two wings."),
    "How many players does a football team have": ("Eleven", "A football team has eleven players."),
    "How many strings does a violin have": ("Four", "A violin has four strings."),
    "How many cents are in a dollar": ("100", "A dollar has 100 cents."),
    "How many eggs are in a dozen": ("Twelve", "A dozen eggs are twelve."),
    "Which animal gives us milk": ("Cow", "The cow gives us milk."),
    "Which animal lays [the |]eggs [for our breakfast|on a farm]": ("Hen", "The hen lays eggs."),
    "Which animal has a [very |]long neck": ("Giraffe", "The giraffe has a very long neck."),
    "Which animal has black and white stripes": ("Zebra", "The zebra has black and white stripes."),
    "Which animal carries its house on its back": ("Snail", "The snail carries its house on its back."),
    "Which animal spins a web": ("Spider", "The spider spins a web."),
    "Which animal is called the king of the animals": ("Lion", "The lion is called the king of the animals."),
    "Which animal builds dams in rivers": ("Beaver", "The beaver builds dams in rivers."),
    "Which animal hops and carries its baby in a pouch": ("Kangaroo", "The kangaroo carries its baby in a pouch."),
    "Which bird can repeat words": ("Parrot", "The parrot can repeat words."),
    "Which bird cannot fly but swims very well": ("Penguin", "The penguin cannot fly but swims very well."),
    "Which insect has wings with [bright|beautiful] colours": ("Butterfly", "The butterfly has colourful wings."),
    "What do caterpillars turn into": ("Butterflies", "Caterpillars turn into butterflies or moths."),
    "What do tadpoles turn into": ("Frogs", "Tadpoles turn into frogs or toads."),
    "What do cows eat": ("Grass", "Cows eat grass and hay."),
    "What do rabbits like to eat": ("Carrots", "Rabbits like to eat carrots and grass."),
    "What do we breathe": ("Air", "We breathe air."),
    "What do we see with": ("Eyes", "We see with our eyes."),
    "What do we smell with": ("Nose", "We smell with the nose."),
    "What do we taste with": ("Tongue", "We taste with the tongue."),
    "Which part of the body do we think with": ("Brain", "We think with the brain."),
    "Which part of the body pumps blood": ("Heart", "The heart pumps blood."),
    "What do we chew with": ("Teeth", "We chew with our teeth."),
    "Which joint is in the middle of the leg": ("Knee", "The knee is in the middle of the leg."),
    "Which joint is in the middle of the arm": ("Elbow", "The elbow is in the middle of the arm."),
    "What do you call a person who bakes bread": ("Baker", "A person who bakes bread is a baker."),
    "What do you call a person who flies a plane": ("Pilot", "A person who flies a plane is a pilot."),
    "What do you call a person who catches fish": ("Fisherman", "A person who catches fish is a fisherman."),
    "What do you call a person who cuts hair": ("Hairdresser", "A person who cuts hair is a hairdresser."),
    "What do you call a person who writes books": ("Author", "A person who writes books is an author."),
    "What do you call a doctor for teeth": ("Dentist", "A doctor for teeth is a dentist."),
    "What do you call a doctor for animals": ("Vet", "A doctor for animals is a vet."),
    "Who teaches children in a school": ("Teachers", "Teachers teach children in a school."),
    "Who puts out fires": ("Firefighters", "Firefighters put out fires."),
    "Who brings letters to your house": ("Postman", "The postman brings letters to your house."),
    "Who grows corn and potatoes": ("Farmers", "Farmers grow corn and potatoes."),
    "Who is the mother of your mother": ("Grandmother", "The mother of your mother is your grandmother."),
    "Who is the brother of your father": ("Uncle", "The brother of your father is your uncle."),
    "Who is the sister of your mother": ("Aunt", "The sister of your mother is your aunt."),
    "Who is the son of your uncle": ("Cousin", "The son of your uncle is your cousin."),
    "Where do [you|people] buy medicine": ("Pharmacy", "People buy medicine in a pharmacy."),
    "Where do [you|people] see old paintings": ("Museum", "People see old paintings in a museum."),
    "Where do trains stop": ("Station", "Trains stop at a station."),
    "Where do planes land": ("Airport", "Planes land at an airport."),
    "Where do sick people [go|get help]": ("Hospital", "Sick people go to a hospital."),
    "Where do we keep food cold": ("Fridge", "We keep food cold in a fridge."),
    "Which planet do we live on": ("Earth", "We live on the planet Earth."),
    "Which is the largest planet of the solar system": (
        "Jupiter",
        "Jupiter is the largest planet of the solar system.",
    ),
    "Which planet is nearest to the sun": ("Mercury", "Mercury is nearest to the sun."),
    "What is the highest mountain in the world": (
        "Mount Everest",
        "The highest mountain in the world is Mount Everest.",
    ),
    "Which continent is the largest": ("Asia", "Asia is the largest continent."),
    "Which ocean is the largest": ("The Pacific", "The Pacific is the largest ocean."),
    "In which direction does the sun rise": ("East", "The sun rises in the east."),
    "In which direction does the sun set": ("West", "The sun sets in the west."),
    "In which direction does a compass point": ("North", "A compass points to the north."),
    "Which month is the first of the year": ("January", "January is the first month of the year."),
    "Which month is the last of the year": ("December", "December is the last month of the year."),
    "Which month is the shortest": ("February", "February is the shortest month."),
    "In which season do the leaves fall": ("Autumn", "The leaves fall in autumn."),
    "Which season is the coldest": ("Winter", "Winter is the coldest season."),
    "Which season comes before summer": ("Spring", "Spring comes before summer."),
    "Which meal do people eat at noon": ("Lunch", "People eat lunch at noon."),
    "Which meal do people eat in the evening": ("Dinner", "People eat dinner in the evening."),
    "What is bread made from": ("Flour", "Bread is made from flour, water and yeast."),
    "What is butter made from": ("Milk", "Butter is made from milk."),
    "What is wine made from": ("Grapes", "Wine is made from grapes."),
    "What is glass made from": ("Sand", "Glass is made from sand."),
    "What is paper made from": ("Wood", "Paper is made from wood."),
    "What does ice become when it melts": ("Water", "Ice becomes water when it melts."),
    "What does boiling water turn into": ("Steam", "Boiling water turns into steam."),
    "What gas do people need to breathe": ("Oxygen", "People need oxygen to breathe."),
    "Which metal is yellow and shines": ("Gold", "Gold is yellow and shines."),
    "What does a thermometer measure": ("Temperature", "A thermometer measures temperature."),
    "What do we use to tell the time": ("A clock", "We use a clock to tell the time."),
    "What do we use to cut paper": ("Scissors", "We use scissors to cut paper."),
    "What do we use to sweep the floor": ("A broom", "We use a broom to sweep the floor."),
    "What do we use to dry our hands": ("A towel", "We use a towel to dry our hands."),
    "What do we use to open a lock": ("A key", "We use a key to open a lock."),
    "What do you wear on your feet": ("Shoes", "You wear shoes on your feet."),
    "What do you wear on your hands when it is cold": ("Gloves", "You wear gloves on your hands when it is cold."),
    "What do you wear on your head": ("A hat", "You wear a hat on your head."),
    "What do you get if you mix red and white": ("Pink", "If you mix red and white, you get pink."),
    "What colour do red and yellow make": ("Orange", "Red and yellow make orange."),
    "What colour do red and blue make": ("Purple", "Red and blue make purple."),
    "What colour do black and white make": ("Grey", "Black and white make grey."),
    "Which colour of the traffic light means go": ("Green", "Green means go."),
    "What colour is the sky on a sunny day": ("Blue", "On a sunny day the sky is blue."),
    "What colour is coal": ("Black", "Coal is black."),
    "What colour is a lemon": ("Yellow", "A lemon is yellow."),
    "What colour is chocolate": ("Brown", "Chocolate is mostly brown."),
    "What colour is milk": ("White", "Milk is white."),
    "What colour is a frog": ("Green", "Most frogs are green."),
    "What colour is blood": ("Red", "Blood is red."),
    "What language do people speak in France": ("French", "People in France speak French."),
    "What language do people speak in Brazil": ("Portuguese", "People in Brazil speak Portuguese."),
    "What language do people speak in Germany": ("German", "People in Germany speak German."),
    "Which country do kangaroos come from": ("Australia", "Kangaroos come from Australia."),
    "Which country has the most people": ("India", "India has the most people."),
    "Which country is shaped like a boot": ("Italy", "Italy is shaped like a boot."),
    "On which continent is Egypt": ("Africa", "Egypt is in Africa."),
    "On which continent is China": ("Asia", "China is in Asia."),
    "On which continent is France": ("Europe", "France is in Europe."),
    "On which continent is Canada": ("North America", "Canada is in North America."),
    "On which continent is Peru": ("South America", "Peru is in South America."),
    "What shape is a wheel": ("Round", "A wheel is round."),
    "What is the first letter of the alphabet": ("A", "The first letter of the alphabet is A."),
    "What is the last letter of the alphabet": ("Z", "The last letter of the alphabet is Z."),
    "What comes out of a volcano": ("Lava", "Lava comes out of a volcano."),
    "What do you call water that falls from a cliff": ("A waterfall", "Water that falls from a cliff is a waterfall."),
    "What do you call land with water all around it": ("An island", "Land with water all around it is an island."),
    "What do you call a group of wolves": ("A pack", "A group of wolves is a pack."),
    "What do you call a group of sheep": ("A flock", "A group of sheep is a flock."),
    "What do you call the home of a bird": ("A nest", "The home of a bird is a nest."),
    "What do you call a house made of snow": ("An igloo", "A house made of snow is an igloo."),
    "What do you call a male chicken": ("A rooster", "A male chicken is a rooster."),
}

# subject and the rest of a question that begins with its verb: "Is ice | cold"
TRUE = (
    "Is ice cold, Is sugar sweet, Is a lemon sour, Is the sky above us, Is a whale bigger than a dog,"
    " Is an ant smaller than a cat, "
    "Is a feather light, Is a stone hard, Is gold a metal, Is a rose a flower, Is an oak a tree, Is "
    "an owl a bird, Is milk white, "
    "Is summer warmer than winter, Is a train faster than a bicycle, Is Paris in France, Is Africa a "
    "continent, Is the ocean salty, "
    "Is a triangle a shape, Is Monday a day, Is July a month, Is a piano an instrument, Is bread "
    "food, Is water wet, Is coal black, "
    "Is a minute shorter than an hour, Is ten more than two, Is a mountain higher than a house, Is a "
    "baby younger than its mother, "
    "Can a bird fly, Can a fish swim, Can a dog bark, Can people laugh, Can a frog jump, Can a monkey"
    " climb trees, Can glass break, "
    "Can a plane fly, Can wood burn, Can children learn, Can a parrot talk, Can snow melt, Can a cat see in the dark, "
    "Do cows eat grass, Do trees have roots, Do cats have tails, Do dogs have four legs, Do bees make"
    " honey, Do plants need water, "
    "Do people need sleep, Do spiders have eight legs, Do ducks swim, Do hens lay eggs, Do books have"
    " pages, Do cars have wheels, "
    "Does a year have twelve months, Does the sun give light, Does a zebra have stripes, Does rain fall from clouds, "
    "Does a clock show the time, Does a giraffe have a long neck, Does a square have four sides, Does a tree grow, "
    "Does a hand have five fingers, Does ice float on water, Does the earth move around the sun, "
    "Are lions wild animals, Are apples fruits, Are roses flowers, Are elephants bigger than mice, "
    "Are knives sharp, Are nights dark, "
    "Are oranges round, Are carrots vegetables, Are penguins birds, Are sharks fish, Are books made of paper"
)
FALSE = (
    "Is ice warm, Is sugar salty, Is a lemon sweet, Is snow black, Is a mouse bigger than a cow, Is a"
    " snail fast, Is a feather heavy, "
    "Is a stone soft, Is wood a metal, Is a rose an animal, Is a cat a bird, Is milk green, Is winter"
    " warmer than summer, "
    "Is a bicycle faster than a plane, Is Paris in China, Is Africa a city, Is the ocean made of "
    "milk, Is a circle square, "
    "Is Sunday a month, Is May a day of the week, Is a hammer an instrument to eat with, Is a shoe "
    "food, Is fire cold, Is the night bright, "
    "Is an hour shorter than a minute, Is two more than nine, Is a house higher than a mountain, Is a"
    " baby older than its mother, "
    "Can a cow fly, Can a fish walk, Can a cat bark, Can a stone swim, Can a table talk, Can a snake "
    "run on legs, Can a tree walk, "
    "Can people breathe under water without help, Can a house jump, Can a penguin fly, Can a horse "
    "lay eggs, Can a car sleep, "
    "Can a book read itself, Can paper stop a train, Can dogs drive a bus, Can a worm sing a song, "
    "Do cows eat meat, Do snakes have legs, Do fish have feathers, Do birds have four legs, Do dogs "
    "have wings, Do cars drink milk, "
    "Do people have three eyes, Do trees have feet, Do spiders have six legs, Do cats lay eggs, Do "
    "chairs feel pain, Do clouds fall asleep, "
    "Does a week have nine days, Does a year have ten months, Does the moon shine by day like the "
    "sun, Does a triangle have four sides, "
    "Does an apple grow under the ground, Does the sun rise in the west, Does rain fall upwards, "
    "Does a hand have nine fingers, Does a clock show the weather, Does an ant weigh more than a dog,"
    " Does a shirt have pages, "
    "Are lions pets, Are apples vegetables, Are stones alive, Are mice bigger than elephants, Are "
    "whales small, Are spoons sharp, "
    "Are oranges square, Are potatoes fruits, Are bats birds, Are books made of glass, Are clouds made of cotton"
)
