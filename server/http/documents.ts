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
  load(text: string): DocumentNode | readonly unknown[]
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
      try {
        const document = parse(text, { maxTokens: limits.maxTokens })
        const errors = check(document)
        if (errors.length > 0) return errors
        if (text.length <= maxCachedChars) cache.set(text, document)
        return document
      } catch (error) {
        return [asComplaint(error, limits.maxTokens)]
      }
    },
  }
}

/** What is wrong with a document that could not be parsed. */
function asComplaint(error: unknown, maxTokens: number): unknown {
  // The parser says by its message alone that there are too many tokens.
  const { message } = error as Error
  if (error instanceof GraphQLError && message.includes(`more than ${maxTokens} tokens`)) {
    return tooComplex(`it has more than ${maxTokens} tokens`)
  }
  // Parser and rules are recursive: lists in lists in lists take the stack before they are many tokens.
  if (error instanceof RangeError) return tooComplex('it is nested too deeply')
  return error
}
