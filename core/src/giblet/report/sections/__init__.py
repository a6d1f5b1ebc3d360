"""The parts of the page, one renderer each: `render(run)` gives a section, or None where its data is absent."""
