"""What is declared can be told apart, and can be told."""


def test_titles_are_unique():
    from rows import FAMILIES, ROWS

    titles = [row.title for row in ROWS.values()]
    assert len(set(titles)) == len(titles)
    for family in FAMILIES.values():
        lines = [line.title for line in family.lines.values()]
        assert len(set(lines)) == len(lines)


def test_units_and_sides_are_known():
    from rows import FAMILIES, ROWS, SCALES, SIDES

    told = [*ROWS.values(), *(line for its in FAMILIES.values() for line in its.lines.values())]
    assert {each.unit for each in told} <= set(SCALES)
    assert {row.against for row in ROWS.values() if row.against} <= set(SIDES)


def test_no_name_stands_for_two_things():
    from rows import FAMILIES, ROWS, TOPICS

    assert len(ROWS) == sum(len(rows) for rows in TOPICS.values())
    assert not set(ROWS) & set(FAMILIES)


def test_a_quick_run_ends_at_a_size_of_the_family():
    from rows import FAMILIES

    for family in FAMILIES.values():
        assert family.quick in family.sizes
        assert list(family.sizes) == sorted(family.sizes)
