"""Rules and values: no I/O, no clock, no grpc, no SQL, no logging."""
