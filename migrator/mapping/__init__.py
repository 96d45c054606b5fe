"""From YAML to a bound, ordered mapping and its one SELECT per object."""
