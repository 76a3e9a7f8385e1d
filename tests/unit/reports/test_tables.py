"""Tables of results, by hand, of whatever a file holds."""

import pytest

from impasto.reports.tables import evaluation_tables, key_values, result_tables, value_text


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"sets": 3},
        {"sets": {"generated": None}},
        {"sets": {"a": {"kl": "x", "shares": [None]}}, "asked": []},
        {"tables": {"a": 3}, "modes": [1], "classes": 7},
    ],
)
def test_what_has_another_type_is_left_out(odd):
    assert evaluation_tables(odd) == [] and result_tables(odd) == [] and result_tables({"results": [odd]}) == []


def test_fractions_of_classes():
    named = {"sets": {"generated": {"shares": [0.25, 0.5, 0.25]}}, "classes": ["cats", "<dogs>"]}
    (table,) = evaluation_tables(named)
    assert table.headings == ("fraction", "generated")
    assert table.rows == [("cats", "25.0%"), ("<dogs>", "50.0%"), ("class 2", "25.0%")]
    many = {"sets": {"generated": {"shares": tuple([0.01] * 100), "kl": -0.0, "classes": 100, "pictures": 26000}}}
    (table,) = evaluation_tables(many)  # too many classes for a list
    assert table.rows == [
        ("classes of 1 % or more", "100", "all"),
        ("KL to uniform, nats", "0", "as real"),
        ("images", "26,000", ""),
    ]


def test_values_that_stand_alone():
    found = {"asked": {"right": 0.9451}, "reconstruction": {"mse": 0.01234}, "results": {"negative_elbo": 111.094}}
    (table,) = evaluation_tables(found)
    assert table.rows == [
        ("reconstruction MSE", "0.0123"),
        ("accuracy on requested labels", "0.945"),
        ("in training: negative elbo", "111.1"),
    ]


def test_results_of_a_training():
    """Sets are whatever is no mode and no table: headers of old models have other names for them."""
    results = {"score": 2.5, "generated": {"frechet": 3.5}, "modes": {"covered": 8}, "odd": [1, 2]}
    (table,) = evaluation_tables({"results": results})
    assert table.rows == [("in training: score", "2.5")]
    alone, sets, modes = result_tables({"results": results, "accuracy": 0.5})
    assert alone.rows == [("score", "2.5"), ("accuracy", "0.5")]
    assert sets.headings == ("measure", "generated", "best") and sets.rows == [("Fréchet distance", "3.5", "lower")]
    assert modes.rows == [("modes covered", "8", "all")]
    translated = {"tables": {"photos to monets": {"generated": {"score": 0.25}, "identity": {"score": 1.0}}}}
    (table,) = result_tables({"results": translated})
    assert table.headings == ("photos to monets", "generated", "identity", "best")
    assert table.rows == [("translation score", "0.25", "1", "0")]


def test_sets_stand_beside_each_other():
    (table,) = evaluation_tables({"sets": {"generated": {"frechet": 1234.56}, "real": {"frechet": 99.96}}})
    assert table.rows == [("Fréchet distance", "1234.6", "100", "lower")]
    modes = {"modes": {name: {"covered": 950, "modes": 1000, "kl": 0.12345} for name in ("generated", "real")}}
    (table,) = evaluation_tables(modes)
    assert table.headings == ("measure", "generated", "real", "best")
    assert table.rows[0] == ("modes covered", "950", "950", "all")


def test_values_as_people_read_them():
    values = [None, True, "text", 12345, 0.123456, [1, 2], {"a": 1}]
    assert [value_text(one) for one in values] == ["–", "True", "text", "12,345", "0.1235", "[1, 2]", '{"a": 1}']
    assert key_values({"a": 1, "b": None}) == [("a", "1"), ("b", "–")]
