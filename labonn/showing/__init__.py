"""How nouns show themselves: a few lines in a terminal, a small table in a notebook; no instrument is asked, large arrays are summarised.

A noun is a `Shown`, and says in `_sheet` what there is to see. What goes wrong there is told in place of it, never raised.
"""

from labonn.showing.sheets import Sheet, Shown

__all__ = ["Sheet", "Shown"]
