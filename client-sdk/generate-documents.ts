import {
  concatAST,
  isEnumType,
  Kind,
  print,
  separateOperations,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql'

/**
 * A codegen plugin: one constant for each operation, its text and that of the fragments it needs. The stock plugin
 * (typed-document-node) emits either parsed trees, three times the size, or a class that needs a package at run time.
 */
export function plugin(schema: GraphQLSchema, files: { document?: DocumentNode }[]) {
  const whole = concatAST(files.flatMap((file) => file.document ?? []))
  const fragments = whole.definitions.filter((node) => node.kind === Kind.FRAGMENT_DEFINITION)
  const operations = Object.values(separateOperations(whole))
  const content = [...errorCode(schema), ...fragments.map(fragmentText), ...operations.map(typedDocument)]
  return {
    prepend: [`import type { TypedDocument } from '../document.ts'`],
    content: content.join('\n\n') + '\n',
  }
}

/** ErrorCode stands in errors only, so no operation brings its type in. */
function errorCode(schema: GraphQLSchema): string[] {
  const type = schema.getType('ErrorCode')
  if (!isEnumType(type)) return []
  const values = type.getValues().map(({ name }) => `\n  | '${name}'`)
  return [`/** What went wrong, as the server names it. */\nexport type ErrorCode =${values.join('')}`]
}

function fragmentText(fragment: FragmentDefinitionNode): string {
  return `const ${textName(fragment)} = \`${escape(print(fragment))}\``
}

/** `document` holds one operation and all the fragments that it reaches. */
function typedDocument(document: DocumentNode): string {
  const operation = document.definitions.find((node) => node.kind === Kind.OPERATION_DEFINITION)!
  const fragments = document.definitions.filter((node) => node.kind === Kind.FRAGMENT_DEFINITION)
  const name = operation.name!.value
  const text = [escape(print(operation)), ...fragments.map((fragment) => `\${${textName(fragment)}}`)].join('\n')
  return [
    `export const ${name}Document: TypedDocument<${typeName(operation)}, ${typeName(operation)}Variables> = {`,
    `  name: '${name}',`,
    `  text: \`${text}\`,`,
    `}`,
  ].join('\n')
}

/** The name that typescript-operations gives to an operation's result: `SendMessageMutation`. */
function typeName({ name, operation }: OperationDefinitionNode): string {
  return name!.value + operation[0]!.toUpperCase() + operation.slice(1)
}

function textName(fragment: FragmentDefinitionNode): string {
  return `${fragment.name.value}Text`
}

function escape(text: string): string {
  return text.replaceAll(/[\\`]|\$(?=\{)/g, '\\$&')
}
