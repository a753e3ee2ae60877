# SPDX-License-Identifier: Apache-2.0
"""The contract as protobuf messages and gRPC stubs, made from proto/futured/v1 when the package is built."""
