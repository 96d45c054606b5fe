"""The page on which pairs are decided: served to this machine only, usable by keyboard, in the report's languages."""
