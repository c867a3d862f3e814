"""The parts of a restore drill: choosing files, and comparing what was restored."""
