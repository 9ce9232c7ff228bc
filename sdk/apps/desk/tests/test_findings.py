from __future__ import annotations

import msgspec
import pytest

from desk_text import Findings, analyse
from desk_text.language import guess, words

TEXTS = {
    "en": "The river rose during the night and the people of the town were not asleep. They had "
    "heard the water, and some of them went out to look at the bridge before it was light.",
    "de": "Der Fluss stieg in der Nacht, und die Leute in der Stadt schliefen nicht. Sie hatten "
    "das Wasser gehört, und einige gingen hinaus, um nach der Brücke zu sehen.",
    "fr": "La rivière est montée pendant la nuit et les gens de la ville ne dormaient pas. Ils "
    "avaient entendu l'eau, et quelques-uns sont sortis pour voir le pont.",
    "es": "El río subió durante la noche y la gente del pueblo no dormía. Habían oído el agua, "
    "y algunos salieron a mirar el puente antes de que fuera de día.",
    "ru": "Река поднялась ночью, и люди в городе не спали. Они слышали воду, и некоторые из них "
    "вышли посмотреть на мост ещё до того, как стало светло.",
    "el": "Το ποτάμι ανέβηκε τη νύχτα και οι άνθρωποι της πόλης δεν κοιμόντουσαν. Είχαν ακούσει "
    "το νερό, και μερικοί από αυτούς βγήκαν για να δουν τη γέφυρα.",
    "ar": "ارتفع النهر في الليل ولم يكن الناس في المدينة نائمين. لقد سمعوا الماء وخرج بعضهم من "
    "البيت إلى الجسر قبل أن يكون هناك ضوء.",
    "hi": "नदी रात में बढ़ गई और शहर के लोग सो नहीं रहे थे। उन्होंने पानी की आवाज़ सुनी थी और कुछ लोग पुल "
    "को देखने के लिए बाहर गए।",
    "ja": "夜のあいだに川の水が増え、町の人々は眠っていなかった。"
    "水の音を聞いて、何人かは橋を見に行った。",
    "zh": "夜里河水上涨，镇上的人都没有睡着。他们听见了水声，有些人在天亮之前就出去看桥。",
    "ko": "밤사이에 강물이 불어났고 마을 사람들은 잠들지 않았다. "
    "그들은 물소리를 듣고 다리를 보러 나갔다.",
}


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_the_language_is_told(code: str) -> None:
    assert guess(TEXTS[code]) == code


def test_no_language_is_claimed_without_evidence() -> None:
    assert guess("") == ""
    assert guess("x1 y2 zz qqq 3.14 foo_bar") == ""


def test_marks_belong_to_their_word() -> None:
    assert words("आवाज़ cafe\u0301 it's well-kept 42") == ["आवाज़", "cafe\u0301", "it's", "well-kept"]


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_every_language_gets_a_summary_of_its_own_sentences(code: str) -> None:
    findings = analyse(TEXTS[code], "a.txt")
    assert findings.summary
    assert all(sentence in TEXTS[code] for sentence in findings.summary)
    assert findings.minutes == 1


ARTICLE = """# Tides

The tide tables predict the height of the sea. The tide tables are made for each harbour.
A harbour pilot reads the tide tables before every voyage. Cooking is something else entirely.
Will the harbour pilot trust the tide tables tomorrow? The moon pulls the sea towards itself.
"""


def test_terms_are_the_phrases_that_come_again() -> None:
    terms = {term.text: term.count for term in analyse(ARTICLE, "a.md").terms}
    assert next(iter(terms)) == "tide tables"
    assert terms["tide tables"] == 4
    assert "the" not in terms


def test_the_summary_is_about_the_subject_and_in_the_order_of_the_text() -> None:
    findings = analyse(ARTICLE, "a.md")
    assert findings.summary
    positions = [ARTICLE.index(sentence) for sentence in findings.summary]
    assert positions == sorted(positions)
    assert not any("Cooking" in sentence for sentence in findings.summary)


def test_questions_are_collected_once() -> None:
    findings = analyse("Is it so? It is. Really?\n\nIs it so? " + "No.", "a.txt")
    assert findings.questions == ["Is it so?", "Really?"]


def test_reading_time_grows_with_the_text() -> None:
    assert analyse("word " * 2_300, "a.txt").minutes == 10
    assert analyse("語" * 5_000, "a.txt").minutes == 10
    assert analyse("", "a.txt").minutes == 0


def test_a_document_of_code_only_says_nothing_it_cannot_know() -> None:
    findings = analyse("```\nprint('hello?')\n```\n", "a.md")
    assert findings == Findings(title="a", code_blocks=1)


def test_findings_cross_the_bus_and_stay_small() -> None:
    findings = analyse(
        "# H\n\n" + "\n\n".join(f"# {n}\n\nIs {n} it?" for n in range(5_000)), "a.md"
    )
    data = msgspec.json.encode(findings)
    assert msgspec.json.decode(data, type=Findings) == findings
    assert len(data) < 64_000


def test_the_longest_document_takes_seconds_at_most() -> None:
    sentence = "The harbour pilot of {} reads the tide tables before every voyage to sea. "
    findings = analyse("".join(sentence.format(n) for n in range(7_000)), "a.md")
    assert findings.is_cut
    assert findings.summary
