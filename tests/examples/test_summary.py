"""The summaries are extracts, and the frequency method finds what a text is about."""

import pytest

from examples.reference_app.documents import documents
from examples.reference_app.summary import extract, lead, sentences, words

TEXT = (
    "The weather was pleasant enough on that first day. "
    "A circuit breaker protects a service from a failing provider. "
    "When the provider fails, the circuit breaker opens and the service answers by itself. "
    "Somebody had brought sandwiches, apples, cheese, bread and lemonade. "
    "After a while the circuit breaker lets one call to the provider through."
)


def test_sentences_end_where_a_new_one_begins() -> None:
    """Abbreviations in lower case do not end a sentence; blank lines do."""
    assert sentences("It costs 3.50 a day, e.g. on Mondays. Is it much? No!\n\nA heading\n\nThe end.") == [
        "It costs 3.50 a day, e.g. on Mondays.",
        "Is it much?",
        "No!",
        "A heading",
        "The end.",
    ]


def test_words_leave_out_what_every_text_has() -> None:
    """Common words and single letters carry no meaning."""
    assert words("The breaker of a Circuit is X") == ["breaker", "circuit"]


def test_extract_prefers_sentences_about_the_subject() -> None:
    """Sentences made of the text's frequent words are chosen; the small talk is not."""
    made = extract(TEXT, 1)

    assert made.text == "A circuit breaker protects a service from a failing provider."
    assert (made.chosen, made.total) == (1, 5)


def test_extract_keeps_the_order_of_the_original() -> None:
    """Sentences come out in the order they were written in, not by score."""
    made = extract(TEXT, 3).text
    positions = [TEXT.index(sentence) for sentence in sentences(made)]

    assert len(positions) == 3
    assert positions == sorted(positions)


def test_extract_does_not_say_the_same_twice() -> None:
    """A repeated sentence is chosen once while there is something else to say."""
    same = "The provider computes summaries of long documents quickly."
    other = "Keys are checked against a list of hashes before anything happens."

    made = extract(" ".join([same, same, same, other]), 2).text

    assert made == f"{same} {other}"


def test_lead_takes_the_first_real_sentences() -> None:
    """The fallback skips headings and takes what comes first."""
    assert lead("Heading.\n\n" + TEXT, 1).text == "The weather was pleasant enough on that first day."


@pytest.mark.parametrize("summarise", [extract, lead])
@pytest.mark.parametrize(("text", "count"), [("", 3), ("  \n\n ", 3), (TEXT, 0)])
def test_nothing_to_summarise_is_an_error(summarise: object, text: str, count: int) -> None:
    """No text and no sentences asked for are refused, not answered by nothing."""
    assert callable(summarise)
    with pytest.raises(ValueError, match="sentence"):
        summarise(text, count)


def test_every_real_document_has_a_summary_made_of_its_own_sentences() -> None:
    """On the documents that the traffic sends, both methods only ever quote."""
    for document in documents():
        known = set(sentences(document.text))
        for made in (extract(document.text), lead(document.text)):
            assert 1 <= made.chosen <= 3
            assert made.total == len(known) or made.total >= len(known)
            assert any(made.text.startswith(sentence) for sentence in known)


def test_the_documents_are_real_and_many() -> None:
    """There are 40 texts of a useful length, each of its own name."""
    found = documents()

    assert len({document.name for document in found}) == 40
    assert min(len(document.text) for document in found) >= 400
