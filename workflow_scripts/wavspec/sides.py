"""The rule that puts a speaker on a side: training, validation or testing."""

import hashlib


def side_by_rule(speaker, validation, testing):
    """Return the side of a speaker, by the rule that made the lists of Speech Commands.

    It depends on the speaker's name alone. A clip therefore keeps its side when others come, and
    nobody is heard on two sides. (Warden, "Speech Commands: A Dataset for Limited-Vocabulary
    Speech Recognition", 2018, section 7: a hash of the name, modulo 2**27, as a percentage.)
    """
    place = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27
    percentage = place * (100 / (2**27 - 1))
    if percentage < validation:
        return "validation"
    return "testing" if percentage < validation + testing else "training"
