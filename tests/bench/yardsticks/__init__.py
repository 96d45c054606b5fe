"""One script a tool: a set in (JSON), clusters or pairs out (CSV). Each runs in an environment of its own."""
