uniform sampler2D contact;
uniform vec4 contact_area;  // middle x, y and half size of the map, metres
uniform float ripples, gravel, straw;
in vec3 world, world_normal, albedo, local;
out vec4 pixel;

float stalks(vec2 along) {  // 0..1: thin streaks along a direction, 6 times as long as wide
  vec2 across = vec2(-along.y, along.x);
  return smoothstep(0.53, 0.60, texture(noise, vec2(dot(world.xy, along) * 0.55, dot(world.xy, across) * 3.3), -2.5).w);
}

void main() {
  vec4 mid = texture(noise, world.xy * 0.43, -0.8), large = texture(noise, world.yx * 0.071 + 0.3, -0.5);
  vec4 fine = texture(noise, world.yx * 1.7, -0.8);
  float near = exp(-distance(world, eye) * 0.03);
  float ripple = sin(dot(world.xy, vec2(5.2, 2.9)) + 9.0 * large.z) * ripples * near * smoothstep(0.42, 0.6, large.z);
  vec2 bumps = (mid.xy - 0.5) * 0.7 + (fine.xy - 0.5) * 0.5 + (large.xy - 0.5) * 0.6;
  vec3 normal = normalize(world_normal) + vec3(bumps * (0.35 + 0.75 * sun.z) + vec2(0.16, 0.09) * ripple, 0.0);
  normal = normalize(normal);

  vec3 color = albedo * (0.66 + 0.66 * mid.z) * (0.80 + 0.4 * large.z) * (0.85 + 0.3 * fine.z);
  color *= 1.0 + gravel * (0.9 * fine.w - 0.5) * smoothstep(0.53, 0.62, fine.w);
  if (straw > 0.0) {
    float lying = max(stalks(vec2(0.8, 0.6)), max(stalks(vec2(-0.39, 0.92)), stalks(vec2(0.97, -0.26))));
    float cover = straw * smoothstep(0.38, 0.55, mid.z);
    color = mix(color * (1.0 - 0.35 * cover), vec3(0.42, 0.33, 0.21) * (0.35 + fine.z), cover * lying);
  }
  vec2 at = (world.xy - contact_area.xy) / contact_area.z;
  float edge = smoothstep(1.0, 0.85, max(abs(at.x), abs(at.y)));
  color *= mix(1.0, texture(contact, at * 0.5 + 0.5).r, edge);
  pixel = shade(color, normal, sunlit(world) * max(dot(normal, sun), 0.0), world);
}
