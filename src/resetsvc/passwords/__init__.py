"""What is a good password, and how one is kept."""
