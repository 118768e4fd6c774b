"""A short English text, written for this file, to see what quantisation costs where no other text is given."""

SAMPLE_TEXT = """\
The lighthouse stood at the end of a long stone pier, and for most of the year nobody walked there except the keeper and
his dog. The keeper was called Martin. He was a quiet man with a grey beard, and he had looked after the light for
thirty years. Every evening he climbed the ninety-six steps, cleaned the glass, and waited for the sun to go down.

One day in autumn a small boat came out of the fog. In the boat sat a girl with a red scarf. She was cold and tired, and
she did not know where she was. "Is this the island?" she asked. Martin shook his head. "The island is three miles to
the north," he said. "But you cannot go there tonight. The wind is too strong. Come in and have some soup."

The girl tied her boat to an iron ring and followed him inside. The kitchen was warm. There was a table, two chairs, a
stove, and a shelf full of old books. The dog looked at her, wagged his tail once, and went back to sleep. While she
ate, she told Martin her story. Her grandmother lived on the island and had fallen ill. The ferry did not run any more,
so she had taken her father's boat. She had never sailed alone before.

"That was brave," said Martin, "but it was not very wise. The sea does not care how brave you are." He poured her a cup
of tea and put two spoons of sugar in it. Then he showed her a map. He pointed at the rocks, at the sand banks, and at
the narrow channel between them. "You must wait until the water is high," he said. "Then you keep the light behind you
and the church tower in front of you. If you see white water, turn left at once."

How does a lighthouse work? A lamp stands in the middle of the room, and around it there is a large lens made of many
pieces of glass. The lens collects the light of the lamp and sends it out in one direction. The whole lens turns slowly,
so that a sailor far away sees a flash every few seconds. Each lighthouse has its own rhythm. Some flash once every five
seconds, others three times and then rest. A sailor counts the seconds, looks into a table, and knows which light it is.

In the morning the fog was gone. The sea was flat and blue, and the island lay on the horizon like a sleeping animal.
Martin gave the girl some bread, a bottle of water and a letter for her grandmother, whom he had known when they were
both young. She thanked him and promised to come back. At ten o'clock he saw her sail pass the church tower. He smiled,
wrote the time into his book, and went up the stairs to clean the glass.
"""
