import os

print(f"LOOM|1|1|unix|{os.environ['LOOM_PLUGIN_DIR']}/none.sock|grpc", flush=True)
input()
