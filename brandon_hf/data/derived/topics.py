"""Short true sentences about everyday things, written for this package.

The first sentence of a topic is short and says what it is; the others go on with it.
"""

from .topics_nature import NATURE
from .word_lists import table

TOPICS = NATURE | table(
    """
a farm
    A farm is a place where people grow food.
    They plant corn and vegetables and keep animals.
    There is work from early morning until evening.
a city
    A city is a place where many people live.
    It has streets, shops, schools and tall houses.
    Cities are often loud and full of cars.
a village
    A village is a small place with few houses.
    People there often know each other.
    It is quieter than a town.
a school
    A school is a place where children learn.
    Teachers show them how to read, write and count.
    In the break the children play outside.
a library
    A library is a place with many books.
    You can take books home and bring them back later.
    People are quiet there so that others can read.
a hospital
    A hospital is a place where sick people get help.
    Doctors and nurses work there day and night.
    Many babies are born in a hospital.
a market
    A market is a place where people buy and sell things.
    There are fruits, vegetables, clothes and flowers.
    In the morning it is busy and loud.
a museum
    A museum is a house that shows old or beautiful things.
    You can see pictures, tools or bones of animals.
    Many people visit museums to learn something.
a train
    A train is a row of wagons that runs on rails.
    It carries many people or heavy loads.
    It stops at stations.
a bicycle
    A bicycle is a vehicle that you move with your feet.
    You have to keep your balance on it.
    Riding a bicycle is healthy and costs little.
a ship
    A ship is a large boat.
    It carries people and goods over the sea.
    The captain and the crew work on it.
a plane
    A plane is a machine that flies through the air.
    It has wings and strong engines.
    With it people travel far in a few hours.
a bus
    A bus is a large vehicle for many people.
    It stops at certain places along the road.
    You need a ticket to ride on it.
a clock
    A clock is a machine that shows the time.
    Its hands move around in a circle.
    Some clocks ring to wake us up.
a book
    A book is many pages of paper held together.
    It tells a story or teaches us something.
    You can read it again and again.
a pencil
    A pencil is a thing to write and draw with.
    You can rub out its marks.
    When it gets blunt, you sharpen it.
a telephone
    A telephone is a machine to talk with people far away.
    Today most people carry one in their pocket.
    They also use it to write messages and take pictures.
a computer
    A computer is a machine that works with information.
    It can calculate fast and store many texts and pictures.
    People use it for work, games and messages.
a lamp
    A lamp is a thing that gives light.
    We switch it on when it gets dark.
    Most lamps need electricity.
a key
    A key is a small piece of metal that opens a lock.
    Every lock has its own key.
    If you lose it, you cannot open the door.
a knife
    A knife is a tool for cutting.
    It has a handle and a sharp blade.
    One has to be careful with it.
a hammer
    A hammer is a tool for hitting nails.
    It has a wooden handle and a heavy head of iron.
    Be careful that you do not hit your thumb.
a ladder
    A ladder is a tool for climbing up.
    It has steps between two long poles.
    Somebody should hold it so that it does not fall.
a chair
    A chair is a seat for one person.
    It has legs and a back.
    Chairs often stand around a table.
a bed
    A bed is a piece of furniture to sleep in.
    It has a soft mattress, a pillow and a blanket.
    After a long day it is nice to go to bed.
a house
    A house is a building where people live.
    It has walls, a roof, doors and windows.
    It keeps us dry and warm.
a window
    A window is an opening in a wall with glass in it.
    It lets light into the room.
    You can open it to get fresh air.
money
    Money is what we pay with.
    It is made of coins and paper.
    People work to earn money and buy what they need.
music
    Music is sound that is nice to listen to.
    People sing or play instruments to make it.
    It can make us happy or sad.
a song
    A song is music with words.
    People sing songs together at parties.
    Some songs are very old.
a guitar
    A guitar is an instrument with strings.
    You pull the strings with your fingers.
    People often sing while they play it.
a teacher
    A teacher is a person who helps others to learn.
    He or she works in a school.
    A good teacher explains things well and is patient.
a doctor
    A doctor is a person who helps sick people.
    He or she finds out what is wrong and gives medicine.
    Doctors have to learn for many years.
a farmer
    A farmer is a person who grows food.
    He or she works in the fields and looks after animals.
    Farmers get up very early.
a baker
    A baker is a person who makes bread and cakes.
    Bakers begin their work at night.
    In the morning people buy fresh bread from them.
a friend
    A friend is a person you like and trust.
    Friends help each other and laugh together.
    You can tell a good friend your secrets.
a family
    A family is a group of people who belong together.
    There are parents, children and grandparents.
    They look after each other.
a baby
    A baby is a very young child.
    It cannot walk or talk yet.
    A baby sleeps a lot and drinks milk.
a birthday
    A birthday is the day on which you were born.
    It comes once a year.
    Many people have a party with a cake and presents.
winter
    Winter is the coldest season of the year.
    The days are short, and often there is snow.
    Many trees have no leaves then.
spring
    Spring is the season after winter.
    The days get longer and warmer.
    Flowers open, and birds build their nests.
summer
    Summer is the warmest season of the year.
    The sun shines for many hours.
    Children have holidays and go swimming.
autumn
    Autumn is the season when leaves turn red and yellow.
    Farmers bring in apples and corn.
    It gets colder, and some birds fly south.
the heart
    The heart is a muscle that moves the blood.
    It beats all day and all night.
    When we run, it beats faster.
a tooth
    A tooth is a hard white part of the mouth.
    We need our teeth to bite and chew.
    We should brush them twice a day.
a shadow
    A shadow is a dark shape where light does not reach.
    It moves when you move.
    In the evening shadows are long.
fire
    Fire is light and heat from something that burns.
    It keeps us warm and cooks our food.
    It can also be dangerous, so never play with it.
gold
    Gold is a yellow metal that shines.
    People make rings and coins from it.
    It is rare and costs a lot.
glass
    Glass is a hard material that you can see through.
    It is made from sand in great heat.
    It breaks easily.
wool
    Wool is the soft hair of certain animals.
    People spin it and make warm clothes from it.
    A wool scarf keeps you warm in winter.
paper
    Paper is a thin material to write on.
    It is made from wood.
    Books, newspapers and bags are made of paper.
a dream
    A dream is a story that you see while you sleep.
    It can be nice or frightening.
    Most dreams are soon forgotten.
football
    Football is a game for two teams.
    Each team tries to get the ball into the other team's goal.
    Only the goalkeeper may use the hands.
chess
    Chess is a game for two players on a board.
    Each player has sixteen pieces.
    You win when the other king cannot get away.
""",
    "\n",
)

DIFFERENCES: tuple[tuple[str, str, str], ...] = (
    ("a dog", "a wolf", "A dog lives with people, but a wolf lives wild in the forest."),
    ("a hill", "a mountain", "A hill is low and easy to climb. A mountain is much higher and steeper."),
    ("a river", "a lake", "The water of a river flows, but the water of a lake stands still."),
    ("a village", "a city", "A village is small and has few people. A city is large and has very many."),
    ("a bee", "a wasp", "A bee is hairy and makes honey. A wasp is smooth and makes none."),
    ("day", "night", "It is light during the day and dark at night."),
    ("summer", "winter", "Summer is warm and has long days. Winter is cold and has short days."),
    ("a boat", "a ship", "A boat is small, and a ship is large enough to cross the sea."),
    ("a bicycle", "a motorcycle", "You move a bicycle with your feet. A motorcycle has an engine."),
    (
        "a fruit",
        "a vegetable",
        "A fruit is sweet and has seeds in it. A vegetable is another part of a plant, such as a root or a leaf.",
    ),
    ("tea", "coffee", "Tea is made from leaves, and coffee is made from roasted beans."),
    ("a bird", "a bat", "A bird has feathers and lays eggs. A bat has fur and gives its babies milk."),
    (
        "a rabbit",
        "a hare",
        "A rabbit is small and lives in a hole. A hare is larger, has longer ears and lives above the ground.",
    ),
    ("a star", "a planet", "A star makes its own light. A planet only reflects the light of a star."),
    ("rain", "snow", "Rain is water that falls in drops. Snow is frozen and falls in flakes."),
    ("a teacher", "a pupil", "A teacher explains things, and a pupil learns them."),
    (
        "a cup",
        "a glass",
        "A cup has a handle and is good for hot drinks. A glass has no handle and is used for cold drinks.",
    ),
    ("a chair", "a stool", "A chair has a back to lean on, but a stool has none."),
    ("a hotel", "a house", "Guests stay in a hotel for a short time. In a house people live for years."),
    ("walking", "running", "Running is faster than walking, and it makes you tired sooner."),
    (
        "a letter",
        "an email",
        "A letter is written on paper and takes days. An email is sent by computer and arrives at once.",
    ),
    ("a knife", "a fork", "You cut food with a knife and pick it up with a fork."),
    (
        "butter",
        "cheese",
        "Butter is made from the fat of milk. Cheese is made from its solid part and often has to ripen.",
    ),
    (
        "a shirt",
        "a coat",
        "You wear a shirt inside and on warm days. A coat goes over your other clothes when it is cold.",
    ),
    (
        "a word",
        "a sentence",
        "A word is a single unit of language. A sentence is made of words and says something complete.",
    ),
    (
        "a crow",
        "a parrot",
        "A crow is black and lives in many places. A parrot is colourful and lives in warm countries.",
    ),
    ("wood", "metal", "Wood comes from trees, floats and burns. Metal comes from rock and is harder and heavier."),
    ("a friend", "an enemy", "A friend likes you and helps you. An enemy wants to harm you."),
    ("hearing", "listening", "You hear every sound around you. You listen when you pay attention to one."),
    ("a cake", "a pie", "A cake is made of soft dough all through. A pie has a crust with a filling inside."),
)
