/*
 * handlers: what the rows of methods.c point to.
 *
 * Order: `closed` of a unary handler does nothing: its request is out, and the answer to it
 *        finishes the call whether anybody listens or not.
 */
#ifndef SERVICE_API_HANDLERS_H
#define SERVICE_API_HANDLERS_H

#include "service/api/call.h"

/* agents.c */
void agent_service_register(struct api_call *call, const ProtobufCMessage *request);
void agent_service_start(struct api_call *call, const ProtobufCMessage *request);
void agent_service_run(struct api_call *call, const ProtobufCMessage *request);

/* workflows.c */
void workflow_service_start(struct api_call *call, const ProtobufCMessage *request);
void workflow_service_run(struct api_call *call, const ProtobufCMessage *request);

/* topics.c */
void workflow_service_publish(struct api_call *call, const ProtobufCMessage *request);
void subscribe_start(struct api_call *call, const ProtobufCMessage *request);
void subscribe_writable(struct api_call *call);
void subscribe_closed(struct api_call *call);
void subscribe_released(struct api_call *call);

/* schedules.c */
void workflow_service_put_schedule(struct api_call *call, const ProtobufCMessage *request);
void workflow_service_list_schedules(struct api_call *call, const ProtobufCMessage *request);
void workflow_service_delete_schedule(struct api_call *call, const ProtobufCMessage *request);

/* queues.c */
void workflow_service_put_queue(struct api_call *call, const ProtobufCMessage *request);
void workflow_service_delete_queue(struct api_call *call, const ProtobufCMessage *request);
void workflow_service_list_queues(struct api_call *call, const ProtobufCMessage *request);

/* start.c: of every call that starts a run. */
void start_closed(struct api_call *call);
void start_released(struct api_call *call);

/* runs.c */
void run_service_get(struct api_call *call, const ProtobufCMessage *request);
void run_service_list(struct api_call *call, const ProtobufCMessage *request);
void run_service_history(struct api_call *call, const ProtobufCMessage *request);
void run_service_cancel(struct api_call *call, const ProtobufCMessage *request);
void run_service_fork(struct api_call *call, const ProtobufCMessage *request);
void run_service_retry(struct api_call *call, const ProtobufCMessage *request);

/* suspend.c */
void suspend_service_list(struct api_call *call, const ProtobufCMessage *request);
void suspend_service_get(struct api_call *call, const ProtobufCMessage *request);
void suspend_service_resume(struct api_call *call, const ProtobufCMessage *request);

/* watch.c */
void watch_start(struct api_call *call, const ProtobufCMessage *request);
void watch_writable(struct api_call *call);
void watch_closed(struct api_call *call);
void watch_released(struct api_call *call);

/* connect.c */
void connect_start(struct api_call *call, const ProtobufCMessage *request);
void connect_message(struct api_call *call, const ProtobufCMessage *message);
void connect_closed(struct api_call *call);
void connect_released(struct api_call *call);

/* exchange.c */
void exchange_closed(struct api_call *call);

#endif
