"""The transport: gRPC calls become use cases, core types become messages."""

from service.rpc.server import RpcConfig, RpcServer
from service.rpc.watch_codec import WatchCodec

__all__ = ["RpcConfig", "RpcServer", "WatchCodec"]
