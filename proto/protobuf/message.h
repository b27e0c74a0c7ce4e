/* Which message a kind has, for reader and writer. Inside of proto/protobuf. */
#ifndef PROTO_PROTOBUF_MESSAGE_H
#define PROTO_PROTOBUF_MESSAGE_H

#include "proto/schema/kind.h"

/* "k8s\0", in front of every envelope. */
#define PROTOBUF_MAGIC      "k8s"
#define PROTOBUF_MAGIC_SIZE 4u

/* Of kinds, in each of their versions that has words of its own or those of the stored one, of requests, and of what
 * only answers are: Status, PartialObjectMetadata. NULL: no message is known. */
const struct schema *protobuf_schema(struct str api_version, struct str name);

#endif
