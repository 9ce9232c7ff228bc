import sys

sys.stderr.write("loading the model\n")
sys.stderr.flush()
input()
