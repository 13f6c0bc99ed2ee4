"""Run by distance.py in a Python that has llama-cpp-python: writes its logits of some tokens to a .npy file.

Standard input is a JSON object: "model" (path), "ids", "step" (tokens evaluated at a time), "output" (path).
"""

import json
import sys

import numpy as np
from llama_cpp import Llama

request = json.load(sys.stdin)
ids, step = request["ids"], request["step"]
llm = Llama(request["model"], n_ctx=len(ids) + 8, n_batch=512, logits_all=True, verbose=False)
for at in range(0, len(ids), step):
    llm.eval(ids[at : at + step])
np.save(request["output"], np.array(llm.scores[: len(ids)], np.float32))
