"""What a ranker settles about its inputs before any mathematics."""
