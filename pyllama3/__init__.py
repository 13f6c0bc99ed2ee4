"""A Llama 3 inference engine written once in Fusion, hosted in Python."""
