"""The parts that methods are wired from: encoders and projection heads."""
