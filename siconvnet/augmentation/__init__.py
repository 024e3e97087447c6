"""What is done to training images, many at once and each in its own way, on whatever device they lie."""
