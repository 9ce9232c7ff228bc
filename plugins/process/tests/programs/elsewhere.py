print("LOOM|1|1|unix|/tmp/mine.sock|grpc", flush=True)
input()
