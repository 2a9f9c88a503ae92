"""Findings and outcomes of experiments: kinds, arrays and numbers, put into words when read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpylstm.laboratory.doctor import words
from numpylstm.laboratory.doctor.layouts import Reading
from numpylstm.laboratory.doctor.names import symbols
from numpylstm.laboratory.doctor.words import Change, Evidence, Kind
from numpylstm.laboratory.mistakes.record import Mistake, enumeration


@dataclass(frozen=True)
class Finding:
    """A likely cause of a wrong gradient.

    Attributes
    ----------
    kind : Kind
        What is likely wrong.
    place : tuple of str
        The arrays whose gradients are wrong; of a wrong line, the names of its results.
    observed : tuple of Evidence
        The kinds of evidence.
    facts : dict of name -> value
        The numbers and names that the words mention.
    mistakes : tuple of Mistake
        The mistakes in a line of the textbook that give the gradients.
    """

    kind: Kind
    place: tuple[str, ...] = ()
    observed: tuple[Evidence, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    mistakes: tuple[Mistake, ...] = ()
    reading: Reading | None = None  # how the author's arrays were read

    @property
    def sentence(self) -> str:
        """The likely cause in words."""
        return words.FINDINGS[self.kind].format(**self._named())

    @property
    def evidence(self) -> tuple[str, ...]:
        """The evidence, a sentence for each observation."""
        alternatives = self._described() if self.kind is Kind.SEVERAL_LINES else []
        named = self._named()
        observations = [words.EVIDENCE[seen].format(**named) for seen in self.observed]
        return (*alternatives, *observations)

    def _described(self) -> list[str]:
        translated = str if self.reading is None else self.reading.translated
        return [
            words.MISTAKE.format(
                description=mistake.description(translated),
                correction=mistake.correction(translated),
            )
            for mistake in self.mistakes
        ]

    def _named(self) -> dict[str, Any]:
        """Return what the words mention, by the names of their tables."""
        named = {
            "arrays": enumeration(self.place),
            "listed": ", ".join(self.place),
            "gradients": symbols(self.place),
            "shared": symbols(self.place[:1]),
            "mistakes": words.OR_ELSE.join(self._described()),
            "count": len(self.mistakes),
            **self.facts,
        }
        if "factor" in self.facts:
            named["factor"] = words.named_factor(self.facts["factor"], self.facts["sizes"])
        if "change" in self.facts:
            changed = ", ".join(self.facts["changed"])
            named["changed"] = changed
            named["change"] = words.CHANGES[self.facts["change"]].format(changed=changed)
        if "right_arrays" in self.facts:
            named["right_arrays"] = enumeration(self.facts["right_arrays"]) or words.NONE
        return named

    def __str__(self) -> str:
        return "\n".join([self.sentence, *(f"  - {line}" for line in self.evidence)])


@dataclass(frozen=True)
class Outcome:
    """The result of an experiment: the arrays whose gradients are wrong at a changed point."""

    change: Change
    changed: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    arrives: bool = True  # False if all gradients are zero there
    error: str = ""  # the type of the exception, if the code refused the changed arrays
    message: str = ""

    @property
    def right(self) -> bool:
        """True if all gradients are right, and not because all are zero."""
        return self.arrives and not self.wrong and not self.error

    def __str__(self) -> str:
        change = words.CHANGES[self.change].format(changed=", ".join(self.changed))
        if self.error:
            message = f": {self.message}" if self.message else ""
            result = words.SKIPPED.format(error=self.error, message=message)
        elif not self.arrives:
            result = words.NOTHING_ARRIVES
        elif self.wrong:
            result = words.WRONG.format(arrays=enumeration(self.wrong))
        else:
            result = words.RIGHT
        return words.OUTCOME.format(change=change, result=result)
