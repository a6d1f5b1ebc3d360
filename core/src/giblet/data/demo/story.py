"""The demo's story: one sentence a unit; who does what, where, and how it feels is in the words only."""

from __future__ import annotations

from giblet.data.demo.schedule import FPS_HZ, stream
from giblet.data.demo.world import World

WHO = (
    "a little girl|the boy|a toddler|the schoolboy|a young pupil|the baby brother|the youngest daughter|a shy child|"
    "the small boy from next door|a kindergarten girl|the freckled kid|her little sister",
    "the fox|an old dog|a grey heron|the black cat|a wild horse|the hungry wolf|a brown bear|the parrot|a white goat|"
    "the hedgehog|a young deer|the stray puppy",
    "the robot|a rusty tractor|the old locomotive|a steel crane|the washing machine|a clockwork soldier|the computer|"
    "an electric drill|the delivery drone|a steam engine|the android|a printing machine",
    "the crowd|a group of dancers|the whole choir|the football team|a party of tourists|the army|the village council|"
    "a band of musicians|the audience|the gang of workers|a large family|the parade",
)
ACTION = (
    "runs|walks along|hurries off|wanders about|travels on|climbs higher|sets off|moves along|marches|rushes past|"
    "journeys on|races away",
    "calls out|whispers a secret|announces the news|tells a tale|asks a question|says a few words|shouts a warning|"
    "talks and talks|answers|gives a speech|recites a poem|mutters something",
    "builds a tower|paints a sign|repairs the fence|bakes bread|carves a figure|sews a flag|makes a basket|"
    "assembles a boat|shapes a pot|puts up a shelf|crafts a toy|stitches a blanket",
    "sleeps|sits still|dozes|waits quietly|lies down|takes a nap|rests|stays motionless|dreams|pauses to rest|"
    "slumbers|naps",
)
PLACE = (
    "in the kitchen|at home|by the fireplace|in the bedroom|on the sofa|in the attic|under the roof of the house|"
    "at the dinner table|in the hallway|behind the front door|in the living room|on the carpet",
    "in the forest|under the pine trees|among the oaks|by the mossy stump|in the deep woods|beneath the branches|"
    "near the fern clearing|between the birches|on the leafy trail|in the thicket|at the edge of the wood|"
    "in the shade of the beeches",
    "in the city|on the busy street|at the railway station|near the office towers|on the tram|in the market square|"
    "beside the traffic lights|outside the bank|in the shopping mall|on the pavement|downtown|at the crossroads",
    "by the sea|on the beach|in the harbour|on the waves|beside the lighthouse|on the pier|aboard the ship|"
    "along the coast|on the rocky shore|near the coral reef|at the fishing port|on the sandbank",
)
MOOD = (
    "in despair|full of fear|with bitter tears|in terrible pain|angry and hurt|to everyone's horror|in misery|"
    "sad and alone|filled with dread|in deep grief|cruelly mocked|as disaster strikes",
    "as usual|once again|at the usual hour|for a while|as on any day|as planned|for the second time|"
    "in the ordinary way|at some point|as before|in the meantime|after a few minutes",
    "full of joy|laughing with delight|happy at last|to everyone's delight|in great triumph|proud and glad|"
    "with a loving smile|in the best of spirits|cheerful and free|blessed with luck|in wonderful peace|"
    "to loud applause",
)
CLAUSES = {"who": WHO, "action": ACTION, "place": PLACE, "valence": MOOD}
TEMPLATES = (
    "{who} {action} {place}, {valence}.",
    "{valence}, {who} {action} {place}.",
    "{place}, {who} {action}, {valence}.",
    "{valence}, {place}, {who} {action}.",
    "{place}, {valence}, {who} {action}.",
)


def sentences(world: World) -> list[str]:
    """One sentence for each unit of all films, [E]; none occurs twice."""
    rng = stream(world.seed, "story")
    out: dict[str, None] = {}
    for unit in range(len(world.units.run)):
        before = len(out)
        while len(out) == before:
            words = {name: clause[world.level[name][unit]].split("|") for name, clause in CLAUSES.items()}
            said = {name: choices[rng.integers(len(choices))] for name, choices in words.items()}
            text = TEMPLATES[rng.integers(len(TEMPLATES))].format(**said)
            out[text[0].upper() + text[1:]] = None
    return list(out)


def annotation_table(world: World, run: int) -> str:
    """The annotation table of a run, tab-separated: onset and duration in seconds, and the text."""
    units, texts = world.units, sentences(world)
    rows = [
        f"{units.start[e] / FPS_HZ:.2f}\t{(units.stop[e] - units.start[e]) / FPS_HZ:.2f}\t{texts[e]}"
        for e in range(len(texts))
        if units.run[e] == run
    ]
    return "\n".join(["onset\tduration\ttext", *rows, ""])
