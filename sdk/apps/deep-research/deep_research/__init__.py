"""What the two agents of deep-research know about questions, pages, quotes and reports."""
