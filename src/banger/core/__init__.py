"""What every room speaks: names, sizes, errors, file layout, clock, starting processes."""
