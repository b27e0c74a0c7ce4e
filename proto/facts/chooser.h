/* Who chooses pods by a selector and makes them of a template: what several must say alike of such an object. Pure. */
#ifndef PROTO_FACTS_CHOOSER_H
#define PROTO_FACTS_CHOOSER_H

#include "proto/schema/object.h"

/* A ReplicationController, ReplicaSet, Deployment, StatefulSet or DaemonSet, or a Job whose selector a person wrote,
 * that nobody else keeps: whose selector could choose what another of them has made. */
bool chooser_is(const struct object *o);
struct mp chooser_selector(const struct object *o); /* spec.selector */
struct mp chooser_labels(const struct object *o);   /* of the pods that it makes */
/* The first label of which the selector wants one certain value; false: it asks for none in matchLabels. Borrowed. */
bool chooser_pair(const struct object *o, struct str *key, struct str *value);

#endif
