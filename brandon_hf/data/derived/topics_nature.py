"""Short true sentences about animals, plants, food, weather and land, written for this package."""

from .word_lists import table

NATURE = table(
    """
a dog
    A dog is an animal that lives with people.
    It can smell very well.
    Many dogs guard the house or help on a farm.
    A dog likes to run, play and eat meat.
a cat
    A cat is a small animal with soft fur.
    It sleeps for much of the day.
    Cats see well in the dark and catch mice.
    A happy cat purrs.
a cow
    A cow is a large farm animal.
    It eats grass all day.
    We get milk from cows, and from milk we make butter and cheese.
    A young cow is called a calf.
a hen
    A hen is a bird that lays eggs.
    It lives on a farm with other hens.
    Hens eat corn and scratch in the ground for worms.
an owl
    An owl is a bird that hunts at night.
    It has big round eyes.
    An owl flies so quietly that a mouse cannot hear it.
    By day it sleeps in a tree.
a spider
    A spider is a small animal with eight legs.
    Many spiders make a web of thin threads.
    Flies get caught in the web, and the spider eats them.
a snake
    A snake is a long animal without legs.
    It moves by bending its body.
    Some snakes are dangerous because their bite is poisonous.
    Most snakes are afraid of people.
a frog
    A frog is a small animal that can jump far.
    It lives near ponds and eats insects.
    A young frog is a tadpole and swims like a fish.
a penguin
    A penguin is a bird that cannot fly.
    It swims very well and eats fish.
    Many penguins live in the cold south, on the ice.
    They stand close together to keep warm.
a whale
    A whale is a very large animal that lives in the ocean.
    It looks like a fish, but it breathes air.
    A mother whale feeds her baby with milk.
a lion
    A lion is a big cat that lives in Africa.
    It lives in a group called a pride.
    The male has a thick mane around his head.
    Lions hunt zebras and other animals.
a bear
    A bear is a big, strong animal with thick fur.
    It eats berries, fish and honey.
    Many bears sleep through the winter in a cave.
a rabbit
    A rabbit is a small animal with long ears.
    It eats grass and carrots.
    Rabbits live in holes that they dig in the ground.
    They run away very fast when they are afraid.
a butterfly
    A butterfly is an insect with colourful wings.
    It begins its life as a caterpillar.
    Butterflies drink the sweet juice of flowers.
an ant
    An ant is a tiny insect that lives in a large group.
    Ants work together and build nests.
    One ant can carry things that are heavier than itself.
a monkey
    A monkey is a clever animal that climbs trees.
    It holds on to branches with its hands and feet.
    Monkeys eat fruit, leaves and insects.
a camel
    A camel is a large animal that lives in the desert.
    It can live for many days without water.
    In its hump it stores fat.
    People ride on camels and let them carry loads.
a goat
    A goat is a farm animal with horns.
    It climbs well and eats almost any plant.
    People keep goats for milk and meat.
a fish
    A fish is an animal that lives in water.
    It breathes through gills and swims with its fins.
    Some fish live in rivers, others in the sea.
a bird
    A bird is an animal with feathers and wings.
    Most birds can fly.
    They build nests and lay eggs.
an insect
    An insect is a small animal with six legs.
    Many insects have wings.
    Ants, flies and beetles are insects.
a tree
    A tree is a tall plant with a trunk of wood.
    Its roots take water from the ground.
    Trees give us shade, fruit and wood.
    Many birds live in trees.
a flower
    A flower is the colourful part of a plant.
    Many flowers smell sweet.
    Bees visit flowers to collect their juice.
grass
    Grass is a green plant that covers fields.
    Cows and sheep eat it.
    It grows again after it is cut.
an apple
    An apple is a round fruit that grows on a tree.
    It can be red, green or yellow.
    You can eat it raw or bake it in a cake.
a potato
    A potato is a vegetable that grows under the ground.
    People boil, fry or bake it.
    It is cheap and fills you up.
rice
    Rice is a grain that grows in wet fields.
    It is cooked in water.
    Many people in the world eat it every day.
milk
    Milk is a white drink that comes from cows.
    It is good for the bones.
    From milk we make cheese, butter and yoghurt.
cheese
    Cheese is a food made from milk.
    It can be hard or soft.
    Many people eat it on bread.
soup
    Soup is a warm food made with water.
    People put vegetables, meat or noodles in it.
    It is eaten with a spoon.
chocolate
    Chocolate is a sweet brown food.
    It is made from the beans of the cocoa tree.
    Many people like it, but too much of it is not healthy.
salt
    Salt is a white powder that gives food more taste.
    It comes from the sea or from under the ground.
    Sea water is full of salt.
sugar
    Sugar is a food that tastes very sweet.
    It is made from plants.
    Too much sugar is bad for the teeth.
an egg
    An egg is what a bird lays.
    It has a thin, hard shell.
    People eat the eggs of hens, boiled or fried.
water
    Water is a clear liquid without taste.
    All living things need it.
    It falls as rain and flows in rivers to the sea.
ice
    Ice is water that is so cold that it is hard.
    It is slippery and floats on water.
    When it gets warm, ice melts.
snow
    Snow is frozen water that falls in white flakes.
    It covers the ground in winter.
    Children like to play in it and build snowmen.
wind
    Wind is air that moves.
    A strong wind can break branches.
    Wind pushes sailing boats and turns windmills.
a cloud
    A cloud is made of very small drops of water.
    It floats high up in the sky.
    When the drops get heavy, it rains.
a storm
    A storm is bad weather with strong wind.
    Often there is rain, thunder and lightning too.
    It is safest to stay inside.
a rainbow
    A rainbow is a band of colours in the sky.
    You can see it when the sun shines through rain.
    Its colours go from red to violet.
the sun
    The sun is the star that gives us light.
    It is very hot and very far away.
    The earth moves around it once a year.
a star
    A star is a ball of hot gas far away in space.
    At night we see stars as small lights.
    Our sun is a star, too.
a planet
    A planet is a large round body that moves around a star.
    The earth is a planet.
    Eight planets move around our sun.
a river
    A river is water that flows through the land.
    It begins in hills or mountains and ends in the sea.
    Fish live in it, and boats travel on it.
a mountain
    A mountain is a very high hill.
    It is cold at the top, and often there is snow.
    People like to climb mountains and look far over the land.
a forest
    A forest is a place where many trees grow.
    Deer, foxes and many birds live in it.
    It is quiet there, and the air is fresh.
a desert
    A desert is a dry place where it hardly ever rains.
    Few plants and animals can live there.
    Days are often hot, and nights can be cold.
an island
    An island is land with water all around it.
    You reach it by boat or by plane.
    Some islands are so small that nobody lives there.
the ocean
    The ocean is a very large body of salt water.
    It covers most of the earth.
    Fish, whales and many other animals live in it.
a beach
    A beach is the flat land beside the sea.
    It is covered with sand or stones.
    People go there to swim and to lie in the sun.
a volcano
    A volcano is a mountain with an opening at the top.
    Sometimes hot melted rock comes out of it.
    It is dangerous to be near it then.
""",
    "\n",
)
