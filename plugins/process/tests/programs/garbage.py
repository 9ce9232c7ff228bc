print("Listening on port 1234", flush=True)
input()
