"""Open questions with short answers, written for this package.

Questions are templates (`wording.choose`): `[a|b]` is one of the alternatives.
"""

from .word_lists import table

WHY = table(
    """
Why do [people|we|humans] need sleep?
    While we sleep, the body rests and the brain sorts what we learned.
    Without sleep we get tired and sick.
[Why do we brush our|Why should one brush one's|Why should I brush my] teeth?
    Brushing takes away bits of food.
    Otherwise they make holes in the teeth.
Why [do leaves fall|do trees lose their leaves] in autumn?
    Trees lose their leaves to save water during the cold winter.
Why [do birds fly|do some birds go] south [in winter|for the winter]?
    In winter there is little food in the cold north.
    In the south the birds find enough to eat.
Why is [the sea|sea water|the ocean] salty?
    Rivers wash a little salt out of the rocks and carry it to the sea.
    The water dries up, but the salt stays.
Why does ice float[ on water]?
    Water gets bigger when it freezes.
    So ice is lighter than the same amount of water, and it floats.
Why do [people|we] wear [coats|warm clothes] in winter?
    It is cold in winter, and warm clothes keep the heat of the body in.
Why do [we|people] cook [our |]food?
    Cooking makes food soft and tasty, and it kills germs that could make us sick.
Why do [cats|cats and dogs] have [whiskers|long hairs beside their nose]?
    With these hairs they can feel things in the dark.
Why do [children|young people] [have to |]learn to read?
    Whoever can read can learn about anything, find the way and enjoy stories.
Why is it [good|healthy] to [eat|have] [fruit|vegetables]?
    They are full of vitamins, which the body needs to stay healthy.
Why [do|should] we save water?
    Clean water is limited.
    If we waste it, there is less for other people, for plants and for animals.
Why do [we|people] have [rules|laws]?
    Rules help people to live together in peace, because everybody knows what is allowed.
Why does the moon shine[ at night]?
    It has no light of its own.
    It sends back the light of the sun.
Why do we see lightning before we hear thunder?
    Light is much faster than sound, so it reaches us first.
Why do [dogs bark|does a dog bark]?
    A dog barks to warn others, to get attention or because it is excited.
Why do [we|people] laugh?
    People laugh when something is funny or when they are happy.
    It also makes us feel close to others.
Why do [we|people] cry?
    People cry when they are sad, hurt or sometimes very happy.
    Crying can make us feel better.
Why is [exercise|sport] good [for you|for us]?
    Moving makes the heart and the muscles strong, and it puts us in a good mood.
Why do plants need [light|sunlight|the sun]?
    Plants use light to make their food out of water and air.
Why do [we|people] have bones?
    Bones hold the body up.
    Without them we could not stand or walk.
Why do [people|some people] keep [pets|a pet]?
    A pet is good company.
    Many people enjoy playing with it and looking after it.
Why is [honesty|it important to be honest|telling the truth important]?
    If you are honest, people can trust you.
    Lies often make trouble in the end.
Why should [one|I|we] [say|always say] thank you?
    It shows others that you noticed their help and that you are glad about it.
Why do [people|some people] travel?
    They want to see new places, meet other people or visit their families.
Why do [cars|buses] need [fuel|petrol]?
    The engine burns it, and this gives the power that turns the wheels.
Why do [we|people] celebrate birthdays?
    We are glad that somebody was born, and we want to spend a nice day together.
Why do [fires|does a fire] need air?
    Things burn only where there is oxygen, and oxygen is a part of the air.
Why do [we|people] wear [a helmet|helmets] on a bicycle?
    A helmet protects the head if you fall.
Why are [forests|trees] important?
    They clean the air, give shade and wood, and are home to many animals.
Why are bees important?
    They carry pollen from flower to flower.
    Without them many plants would bear no fruit.
Why [is it cold|is it so cold|does it get cold] [on high mountains|at the top of a mountain]?
    The higher you go, the thinner the air is.
    Thin air holds less heat.
Why do we have [day and night|nights and days]?
    The earth turns around once a day.
    It is day on the side that looks at the sun and night on the other.
Why should [one|you|we] not [shout|be loud] in a library?
    Other people want to read and think there, and noise disturbs them.
Why does bread [rise|get bigger in the oven]?
    Yeast in the dough makes gas.
    The small bubbles push the dough up.
Why do [giraffes have|does a giraffe have] [such |]a long neck?
    With it the animal can reach leaves high up in the trees.
Why do [ducks|swans] not get wet?
    There is oil on their feathers, so the water runs off.
Why do [people|we] [write letters|send messages]?
    They want to tell something to somebody who is not there.
Why do [some people|people] wear glasses?
    Their eyes do not see sharply.
    Glasses bend the light so that they see clearly.
Why do we need [money|coins]?
    With money we can buy things without having to trade one thing for another.
""",
    " ",
)

HOW = table(
    """
How do [I|you] make [tea|a cup of tea]?
    Boil some water and pour it over the tea in a cup.
    Wait for a few minutes, then take the tea out.
How do [I|you] boil an egg?
    Put the egg into boiling water.
    Take it out after five minutes for a soft egg, after ten for a hard one.
How [do I|does one|do you] plant a [tree|flower]?
    Dig a hole in good soil and set the plant in it.
    Fill the hole with earth and give it plenty of water.
How do [I|you] make [a sandwich|a cheese sandwich]?
    Take two slices of bread and put butter and cheese on one.
    Lay the other slice on top.
How [can I|do I|can one] learn new words?
    Write the words down, read them aloud and use them in sentences.
    Repeat them the next day.
How [can I|do I] make [new |]friends?
    Be friendly, say hello and ask others what they like.
    Join a club or play a game together.
How does [a bird|the bird] build a nest?
    It collects twigs and grass and puts them together in a tree.
    Inside it lays feathers and moss.
How do [I|you] clean a window?
    Wipe it with warm water and a little soap.
    Then dry it with a soft cloth.
How [do I|does one] write a letter?
    Begin with a greeting, say what you want to say, and end with your name.
How do [I|you] [make|build] a snowman?
    Roll three balls of snow and put them on top of each other, the biggest at the bottom.
    Give it stones for eyes and a carrot for a nose.
How [do plants|does a plant] drink?
    Its roots take water out of the soil.
    The water then goes up through the stem into the leaves.
How do fish breathe?
    They have gills, which take oxygen out of the water.
How is bread made?
    Flour, water, salt and yeast are mixed to make dough.
    The dough rests for a while and is then baked in an oven.
How is cheese made?
    Milk is made sour, so that it gets thick.
    The solid part is pressed, salted and left to ripen.
How is paper made?
    Wood is cut into small pieces and boiled until it is soft.
    It is pressed flat and dried.
How do bees make honey?
    They collect sweet juice from flowers and carry it home.
    There it dries until it becomes honey.
How do I take care of a [dog|puppy]?
    Give it food and fresh water, walk with it every day and play with it.
    Take it to the vet when it is sick.
How do I take care of a cat?
    Give it food and fresh water, keep its box clean and be gentle with it.
How [can I|do I|should I] prepare for a test?
    Start early and learn a little every day.
    Explain what you learned to somebody else, and sleep well before the test.
How [can I|do I] save money?
    Write down what you spend, and buy only what you need.
    Put a little away every month.
How do [I|you] cross a [road|street] safely?
    Stop, look left, right and left again, and listen.
    Walk across when no car is coming.
How [can I|do I] get better at [drawing|singing|chess|running]?
    Practise a little every day.
    Start with easy things, and learn from people who do it well.
How do [I|you] make lemonade?
    Mix the juice of some lemons with water and sugar.
    Add ice and stir it well.
How do I say sorry[ to a friend]?
    Tell your friend that you are sorry and what you did wrong.
    Then try to make it good again.
How do [people|we] measure [time|the time]?
    We use clocks and watches.
    They count seconds, minutes and hours.
How do [people|we] measure [length|how long a thing is]?
    We use a ruler or a measuring tape and count in centimetres or metres.
How do [I|you] iron a shirt?
    Lay the shirt flat and move the warm iron slowly over it.
    Begin with the collar and end with the back.
How [can I|do I] keep my room tidy?
    Give everything its own place and put it back after you used it.
    Clean up for ten minutes every evening.
How does [rain|the rain] form?
    Water rises into the air and forms clouds.
    When the drops get too heavy, they fall.
How do [I|you] cook [rice|noodles]?
    Boil it in water with a little salt until it is soft.
How do [I|you] wrap a [present|gift]?
    Lay it on the paper, fold the paper around it and close it with tape.
    A ribbon makes it nicer.
How can I help [the environment|nature]?
    Save water and electricity, walk or ride a bicycle, and throw away less.
How do [I|you] pack a suitcase?
    Make a list first.
    Put heavy things at the bottom and roll up your clothes.
How [do I|can I] find a book in a library?
    Look for its title or its author in the catalogue, or ask the librarian.
""",
    " ",
)

ADVICE = table(
    """
I am [bored|so bored]. What [can|should|could] I do?
    You could read a book, draw a picture, go for a walk or call a friend.
I [feel|am] [sad|a bit sad][ today|]. [What can I do?|Can you help me?|]
    I am sorry that you are sad.
    It may help to talk to somebody you trust or to go for a walk.
I am [hungry|very hungry]. What [should|can] I eat?
    How about some bread with cheese, a bowl of soup or an apple?
I am [thirsty|very thirsty]. What [should|can] I drink?
    Drink a glass of water.
    It is the best thing when you are thirsty.
I am [cold|freezing]. What can I do?
    Put on a warm sweater, drink hot tea and move around a little.
I am too hot. What can I do?
    Sit in the shade, drink cold water and wear light clothes.
I [lost|cannot find] my keys. [What should I do?|What can I do?]
    Look in your pockets and your bag, and think about where you last used them.
I [have a headache|have got a headache]. What can I do?
    Drink some water and rest in a quiet, dark room.
    If it does not get better, ask a doctor.
I [have a cold|caught a cold]. What [should|can] I do?
    Rest, drink warm tea and sleep a lot.
    See a doctor if you get a high fever.
I am [nervous|worried] about [my test|tomorrow|my exam]. [What can I do?|What helps?]
    Breathe slowly and remember what you have learned.
    A walk and a good sleep help, too.
My friend is [angry|cross] with me. What [should|can] I do?
    Ask your friend what is wrong and listen.
    If you made a mistake, say that you are sorry.
I am [lonely|alone a lot]. What can I do?
    You could call a friend, join a club or talk to your neighbours.
    Many people are glad to have company.
I [broke|have broken] my [mother's|sister's] [cup|vase]. What should I do?
    Tell her what happened and say that you are sorry.
    You can offer to buy a new one.
I am late for [school|work]. What should I do?
    Tell them that you will be late, and then go there without taking risks.
I want to [learn|play] an instrument. Which one [should I take|is good]?
    Try some of them and take the one whose sound you like best.
    Many people begin with the piano or the guitar.
What [should|can] I give my [mother for her|father for his|sister for her|friend for the] birthday?
    A book, some flowers or something you made yourself would be a nice present.
What [should|can] I cook [tonight|for dinner|today]?
    You could cook noodles with tomatoes or a vegetable soup.
    Both are easy and taste good.
What [should|can] I wear [when it rains|in the rain]?
    Wear a raincoat and boots, so that you stay dry.
I am afraid of the dark. What can I do?
    Leave a small lamp on and think of something nice.
    Nothing is different in the dark, you only cannot see it.
I am afraid of [dogs|spiders]. [What can I do?|Can you help me?]
    Many people are.
    Look at them from a safe distance first, and take your time.
I forgot my [homework|book]. What should I do?
    Tell your teacher honestly that you forgot it, and bring it the next day.
My room is a mess. Where [should|do] I start?
    Start with one corner.
    Put the clothes away first, then the books, and then sweep the floor.
I [argued|had a fight] with my [brother|sister]. What now?
    Wait until you are both calm.
    Then talk about it and say what made you angry.
I [spilled|have spilled] [juice|coffee] on my shirt. What [should|can] I do?
    Rinse it with cold water at once and then wash it with soap.
I [cut|have cut] my finger. What should I do?
    Wash the cut with clean water and put a plaster on it.
    If it is deep, see a doctor.
I [want|would like] to read more. How [do I start|can I begin]?
    Choose a short book about something you like, and read ten minutes every evening.
It is raining. What can we do [at home|inside]?
    You could play a game, bake a cake, read or build something.
What can I do [this weekend|on Sunday]?
    You could visit friends, go for a walk in the woods or try a new recipe.
[Give me some advice for my first day at school.|Do you have [some|any] advice for my first day at [school|work]?]
    Be friendly, listen well and ask when you do not understand something.
    Everybody was new once.
How can I [cheer up my friend|make my friend happy]?
    Spend some time together, listen, and do something that your friend likes.
My plant is dying. What can I do?
    See whether the soil is too dry or too wet, and give the plant more light.
I have too much to do. [Where do I start?|What should I do?]
    Write everything down, do the most important thing first, and take short breaks.
I am [angry|so angry]. What [helps|can I do]?
    Take a deep breath and count to ten.
    Then say calmly what bothers you.
My bicycle has a flat tyre. What should I do?
    Find the hole, put a patch on it and pump the tyre up again.
    A bicycle shop can do it, too.
I [got|am] lost in [a town|the city]. What should I do?
    Stay calm and ask somebody friendly, a police officer or a person in a shop, for the way.
I want to get up earlier. [How do I do that?|What helps?]
    Go to bed earlier, and put your alarm clock where you have to get up to reach it.
""",
    " ",
)
