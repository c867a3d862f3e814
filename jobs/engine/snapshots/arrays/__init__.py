"""What the engines of storage arrays share: nothing here knows an array, nor needs a maker's client."""
