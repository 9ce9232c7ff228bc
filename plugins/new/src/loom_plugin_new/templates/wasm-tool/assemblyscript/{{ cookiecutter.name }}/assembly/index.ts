// {{ cookiecutter.name }}: {{ cookiecutter.summary }}.
//
// A tool is an exported function. Its input is JSON, the arguments of the call; it answers with
// JSON. It returns 0, or another number after Host.errorSet.
import { Host } from "@extism/as-pdk";

// Not Host.outputString: it counts UTF-16 units, so what is not ASCII would be cut.
function answer(json: string): i32 {
  Host.output(Uint8Array.wrap(String.UTF8.encode(json)));
  return 0;
}

// The arguments are {"text": "..."}: counted is what stands between the last two quotes.
export function count(): i32 {
  const input = Host.inputString();
  let letters = 0;
  for (let i = input.lastIndexOf('"') - 1; i >= 0; i--) {
    const letter = input.charCodeAt(i);
    const lower = letter | 0x20;
    if (i > 0 && input.charAt(i - 1) == "\\") {
      i--; // what follows a backslash is no letter of the text
      continue;
    }
    if (input.charAt(i) == '"') break;
    if ((lower >= 97 && lower <= 122) || (letter >= 48 && letter <= 57)) letters++;
  }
  return answer(letters.toString());
}

// Where AssemblyScript ends when it cannot go on.
export function stop(message: string | null, file: string | null, line: u32, column: u32): void {
  unreachable();
}
