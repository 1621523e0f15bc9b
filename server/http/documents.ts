import { GraphQLError, parse, specifiedRules, validate } from 'graphql'
import type { DocumentNode, GraphQLSchema } from 'graphql'
import { LRUCache } from 'lru-cache'
import { documentLimitRules, tooComplex } from './document-limits.ts'
import type { HttpLimits } from './limits.ts'

/** Documents longer than this carry their values in their text, so that none of them comes a second time. */
const maxCachedChars = 16 * 1024
/** Enough to see what is wrong; collecting a hundred of them is work for nobody. */
const maxErrors = 20

/** Turns the text of a document into one that is safe to execute, or into the errors in it. */
export type Documents = {
  load(text: string): DocumentNode | readonly GraphQLError[]
}

/** Parses and validates against one schema, keeping the documents that were used last. */
export function createDocuments(schema: GraphQLSchema, limits: HttpLimits): Documents {
  const cache = new LRUCache<string, DocumentNode>({
    maxSize: limits.documentCacheChars,
    sizeCalculation: (_document, text) => text.length + 1,
  })
  const limitRules = documentLimitRules(limits)

  function check(document: DocumentNode): readonly GraphQLError[] {
    // First, because validation takes long on just the documents that these rules refuse.
    const overLimit = validate(schema, document, limitRules, { maxErrors })
    return overLimit.length > 0 ? overLimit : validate(schema, document, specifiedRules, { maxErrors })
  }

  return {
    load(text) {
      const cached = cache.get(text)
      if (cached) return cached
      const document = parseWithin(text, limits.maxTokens)
      if (!('kind' in document)) return document
      const errors = check(document)
      if (errors.length > 0) return errors
      if (text.length <= maxCachedChars) cache.set(text, document)
      return document
    },
  }
}

function parseWithin(text: string, maxTokens: number): DocumentNode | readonly GraphQLError[] {
  try {
    return parse(text, { maxTokens })
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error
    // The parser says it by its message alone.
    return [error.message.includes(`more than ${maxTokens} tokens`) ? tooComplex('tokens', maxTokens) : error]
  }
}
