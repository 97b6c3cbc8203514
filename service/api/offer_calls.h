/*
 * offer_calls: what tools and workflows have in common where they are looked at and deleted.
 */
#ifndef SERVICE_API_OFFER_CALLS_H
#define SERVICE_API_OFFER_CALLS_H

#include "polos/v1/host.pb-c.h"
#include "service/agents/offer.h"
#include "service/api/offered.h"

/* Tools, or workflows, as their service words them. The texts live as long as the call's read. */
struct offer_words {
    enum task_kind kind;
    const char *field; /* That names one. */
    void (*got)(struct api_call *call, const struct offer_record *offer, uint32_t hosts,
                struct arena *arena);
    void (*listed)(struct api_call *call, const struct offer_record *offers,
                   const struct offered_name *names, size_t count, char *next_page_token,
                   struct arena *arena);
    void (*deleted)(struct api_call *call);
};

/* `words` is static, in all of them. */
void offer_get(struct api_call *call, const struct offer_words *words, const char *name);
void offer_list(struct api_call *call, const struct offer_words *words, int32_t page_size,
                const char *page_token);
void offer_delete(struct api_call *call, const struct offer_words *words, const char *name);

/* As it was offered. It lives in the arena; so in the next. */
Polos__V1__ToolDefinition *offer_view_tool(const struct tool_definition *tool, struct arena *arena);
Polos__V1__WorkflowDefinition *offer_view_workflow(const struct offer_record *offer,
                                                   struct arena *arena);

#endif
