"""Files and their pixels: found, unpacked, decoded, kept.

In: a folder, an archive or a list of files. Out: uint8 images, from a memory map that processes share or decoded on
demand, with a hash; or one line that says which file is missing or spoilt.
"""
