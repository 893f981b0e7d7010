"""The papers' claims, run again: a folder a paper, year_author_topic. See docs/results.md."""
