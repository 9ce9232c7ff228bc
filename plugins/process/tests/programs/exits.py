import sys

sys.stderr.write("no such model: whisper\n")
sys.exit(3)
