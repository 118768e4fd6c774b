"""Plain data: short poems, written for this package: what they are about, their lines."""

from .word_lists import table

POEMS = table(
    """
the sun
    The sun comes up, the night is done,
    the day is bright for everyone.
    It warms the field, it warms the hill,
    and in the evening all is still.
a cat
    My little cat is soft and grey,
    she likes to sleep for half the day.
    But when it's dark, she opens wide
    her two green eyes and goes outside.
a tree
    A tree stands tall beside the lane,
    it drinks the sun, it drinks the rain.
    The birds are singing in its crown,
    and in the fall the leaves come down.
snow
    The snow is falling, white and deep,
    the garden has gone off to sleep.
    We build a man of ice and cold,
    with stones for eyes and buttons of gold.
the stars
    So many stars are in the sky,
    so far away, so very high.
    I look at them before I sleep,
    and they have secrets that they keep.
the sea
    The waves roll in, the waves roll out,
    the gulls fly high and scream and shout.
    I write my name upon the sand,
    the sea comes up and cleans the land.
a dog
    My dog and I, we love to run
    across the meadow in the sun.
    And when I'm sad, he's at my side,
    my friend, my helper and my guide.
spring
    The snow is gone, the grass is green,
    the brightest flowers can be seen.
    The birds are back and sing all day,
    and children run outside to play.
the night
    The night is dark, the night is deep,
    the town and all its people sleep.
    An owl is flying round the tower,
    the clock is striking hour by hour.
bread
    The baker wakes when it is night,
    he mixes dough by candlelight.
    And in the morning, warm and sweet,
    the smell of bread is in the street.
a friend
    A friend is someone good to know,
    who comes along when others go,
    who laughs with you when you are glad
    and holds your hand when you are sad.
the wind
    The wind is blowing round the house,
    as loud as lions, soft as a mouse.
    It takes my hat, it takes my kite,
    and shakes the windows all the night.
a river
    A river runs from hill to sea,
    it's never tired, and it is free.
    It turns the mill, it rocks the boat,
    and on its back the small ducks float.
autumn
    The leaves are yellow, red and brown,
    and one by one they tumble down.
    The apples wait to be brought in,
    and soon the winter will begin.
a bird
    A little bird sat on a tree
    and sang a happy song to me.
    It spread its wings and flew away,
    but I can hear its song all day.
a mouse
    A little mouse lived in a wall,
    she wasn't very big at all.
    She found some cheese, she ate it quick,
    and after that she felt quite sick.
school
    I take my bag, I close the door,
    I learn what I didn't know before.
    We read and write, we sing and play,
    and I go home at end of day.
summer
    The days are long, the skies are blue,
    there are so many things to do.
    We swim, we run, we climb a tree,
    and I am happy, wild and free.
""",
    "\n",
)
