print("LOOM|1|9|unix|/anywhere.sock|grpc", flush=True)
input()
