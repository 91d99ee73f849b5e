"""Tables for the terminal and for Markdown."""

from nash_tf.terminal import text_tables


def test_tables():
    assert text_tables.table(["a", "b"], [["x", "10"], ["long", "7"]]) == "a      b\nx     10\nlong   7"
    assert "\x1b" not in text_tables.table(["a"], [["\x1b[31m"]])
    assert text_tables.markdown(["a", "b|c"], [["<i>", "1"]]) == "| a | b\\|c |\n| --- | --- |\n| &lt;i> | 1 |"
