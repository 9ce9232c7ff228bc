print("LOOM|0|1|unix|/anywhere.sock|grpc", flush=True)
input()
