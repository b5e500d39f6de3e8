"""What several data sets have in common: files on disk, folders of classes, factors."""
